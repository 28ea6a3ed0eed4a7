#include "models/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "models/layout.h"

namespace models {
namespace {

using Orders = std::vector<std::vector<PipelineTask>>;

Layout layout_of(Schedule schedule, int pp, int vp) {
  Layout layout;
  layout.schedule = schedule;
  layout.pp = pp;
  layout.vp = vp;
  return layout;
}

/// "F0 F1 B0": phase and microbatch, chunks past the first of the rank in lower case.
std::string text(const std::vector<PipelineTask>& order, int pp) {
  std::string out;
  for (const PipelineTask& task : order) {
    if (!out.empty()) out += ' ';
    out += (task.chunk < pp ? "FBBW" : "fbbw")[static_cast<int>(task.phase)];
    out += std::to_string(task.microbatch);
  }
  return out;
}

/// Each task once, and a microbatch's forward before its backward, before its weight gradient.
void expect_complete(const Layout& layout, const Orders& orders, int microbatches) {
  const bool split = layout.schedule >= Schedule::zb_1p;
  ASSERT_EQ(orders.size(), static_cast<std::size_t>(layout.pp));
  for (int stage = 0; stage < layout.pp; ++stage) {
    std::map<std::pair<int, int>, int> done;  // (chunk, microbatch): phases so far
    for (const PipelineTask& task : orders[static_cast<std::size_t>(stage)]) {
      ASSERT_EQ(layout.stage_of_chunk(task.chunk), stage);
      ASSERT_LT(task.microbatch, microbatches);
      int& phases = done[{task.chunk, task.microbatch}];
      const Phase due = phases == 0   ? Phase::forward
                        : phases == 2 ? Phase::weight_grad
                        : split       ? Phase::input_grad
                                      : Phase::backward;
      ASSERT_EQ(task.phase, due);
      ++phases;
    }
    ASSERT_EQ(done.size(), static_cast<std::size_t>(layout.vp) * static_cast<std::size_t>(microbatches));
    for (const auto& [key, phases] : done) ASSERT_EQ(phases, split ? 3 : 2);
  }
}

/// Most chunk forwards a rank holds: until their backward, or until their weight gradient if that is apart.
int most_held(const std::vector<PipelineTask>& order) {
  int held = 0, most = 0;
  for (const PipelineTask& task : order) {
    if (task.phase == Phase::forward) most = std::max(most, ++held);
    if (task.phase == Phase::backward || task.phase == Phase::weight_grad) --held;
  }
  return most;
}

// Figure 3 of Narayanan et al., SC 21, cut down to 2 stages and 4 microbatches.
TEST(Schedule, OneForwardOneBackwardByHand) {
  const Layout layout = layout_of(Schedule::one_f_one_b, 2, 1);
  EXPECT_EQ(text(rank_schedule(layout, 0, 4), 2), "F0 F1 B0 F2 B1 F3 B2 B3");
  EXPECT_EQ(text(rank_schedule(layout, 1, 4), 2), "F0 B0 F1 B1 F2 B2 F3 B3");
  EXPECT_EQ(text(rank_schedule(layout, 1, 4, {}, true), 2), "F0 F1 B0 F2 B1 F3 B2 B3");
}

// Megatron-LM: (2 - rank - 1) * 2 + (2 - 1) * 2 warm-up forwards: 4 on rank 0, 2 on rank 1. Groups of 2 microbatches.
TEST(Schedule, InterleavedByHand) {
  const Layout layout = layout_of(Schedule::interleaved, 2, 2);
  EXPECT_EQ(text(rank_schedule(layout, 0, 4), 2), "F0 F1 f0 f1 F2 b0 F3 b1 f2 B0 f3 B1 b2 b3 B2 B3");
  EXPECT_EQ(text(rank_schedule(layout, 1, 4), 2), "F0 F1 f0 b0 f1 b1 F2 B0 F3 B1 f2 b2 f3 b3 B2 B3");
}

// 7 microbatches on 3 stages: floor(7 / 3) = 2 groups, of 4 and 3. Warm-up of the last rank: (vp - 1) * 4.
TEST(Schedule, InterleavedSpreadsTheRest) {
  const Layout layout = layout_of(Schedule::interleaved, 3, 2);
  EXPECT_EQ(text(rank_schedule(layout, 2, 7), 3).substr(0, 26), "F0 F1 F2 F3 f0 b0 f1 b1 f2");
}

TEST(Schedule, GpipeByHand) {
  EXPECT_EQ(text(rank_schedule(layout_of(Schedule::gpipe, 2, 1), 1, 3), 2), "F0 F1 F2 B0 B1 B2");
  EXPECT_EQ(text(rank_schedule(layout_of(Schedule::gpipe, 2, 2), 0, 2), 2), "F0 F1 f0 f1 b0 b1 B0 B1");
}

// ZB-H1, arXiv 2401.10241, figure 2 top, for 2 stages: the last stage puts its first weight gradient off by one.
TEST(Schedule, ZeroBubbleByHand) {
  const Layout layout = layout_of(Schedule::zb_1p, 2, 1);
  EXPECT_EQ(text(rank_schedule(layout, 0, 3), 2), "F0 F1 B0 W0 F2 B1 W1 B2 W2");
  EXPECT_EQ(text(rank_schedule(layout, 1, 3), 2), "F0 B0 F1 B1 W0 F2 B2 W1 W2");
}

class AnyLayout : public ::testing::TestWithParam<std::tuple<Schedule, int, int>> {};

TEST_P(AnyLayout, IsCompleteAndWithinItsMemory) {
  const auto [schedule, pp, m] = GetParam();
  for (const int vp : {1, 2, 3, 8}) {
    if (schedule == Schedule::interleaved ? vp == 1 : vp != (schedule == Schedule::zb_v ? 2 : 1)) continue;
    const Layout layout = layout_of(schedule, pp, vp);
    const Orders orders = pipeline_schedule(layout, m);
    expect_complete(layout, orders, m);
    const int group = m <= pp ? pp : (m + m / pp - 1) / (m / pp);  // of the interleaved order; pp if m divides
    for (int stage = 0; stage < pp; ++stage) {
      const int held = most_held(orders[static_cast<std::size_t>(stage)]);
      switch (schedule) {
        case Schedule::one_f_one_b: EXPECT_EQ(held, std::min(m, pp - stage)); break;
        case Schedule::interleaved:
          EXPECT_EQ(held, std::min(m * vp, (pp - stage - 1) * 2 + (vp - 1) * group + 1));
          break;
        case Schedule::gpipe: EXPECT_EQ(held, m); break;
        case Schedule::zb_1p: EXPECT_LE(held, pp); break;
        case Schedule::zb_2p:
        case Schedule::zb_v: EXPECT_LE(held, 2 * pp); break;
      }
      EXPECT_EQ(rank_schedule(layout, stage, m), orders[static_cast<std::size_t>(stage)]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sweep, AnyLayout,
                         ::testing::Combine(::testing::Values(Schedule::one_f_one_b, Schedule::interleaved,
                                                              Schedule::gpipe, Schedule::zb_1p, Schedule::zb_2p,
                                                              Schedule::zb_v),
                                            ::testing::Values(1, 2, 3, 4, 8), ::testing::Values(1, 2, 5, 8, 23)));

// Times of all kinds, and microbatches enough for the steady state to be laid out once and repeated.
TEST(Schedule, ZeroBubbleIsCompleteAndWithinItsMemoryForAllTimes) {
  constexpr PhaseTimes kTimes[] = {{1, 1, 1, 0},       {1, 1.1, 0.9, 0.05}, {1, 1.2, 0.8, 0.15}, {1, 1.9, 0.9, 0.1},
                                   {1, 1.4, 0.6, 0.2}, {1, 1, 1, 0.5},      {2, 1, 0.1, 0},      {1, 1, 3, 1},
                                   {1, 1, 0, 0},       {0, 0, 0, 0}};
  for (const Schedule schedule : {Schedule::zb_1p, Schedule::zb_2p, Schedule::zb_v})
    for (const int pp : {1, 2, 5, 16})
      for (const int m : {3 * pp + 3, 4 * pp + 4, 6 * pp + 1, 9 * pp + 2})
        for (const PhaseTimes& times : kTimes) {
          const Layout layout = layout_of(schedule, pp, schedule == Schedule::zb_v ? 2 : 1);
          const Orders orders = pipeline_schedule(layout, m, times);
          expect_complete(layout, orders, m);
          for (const auto& order : orders) ASSERT_LE(most_held(order), schedule == Schedule::zb_1p ? pp : 2 * pp);
        }
}

// Microbatches of a steady state follow each other by one, two or four, in equal tasks: the copies differ in nothing
// else, and the warm-up and the cool-down are those of a shorter step.
TEST(Schedule, ZeroBubbleRepeatsItsSteadyState) {
  const Layout layout = layout_of(Schedule::zb_v, 8, 2);
  const Orders shorter = pipeline_schedule(layout, 40), longer = pipeline_schedule(layout, 48);
  for (std::size_t stage = 0; stage < 8; ++stage) {
    const std::size_t warm_up = 6 * 24, cool_down = 6 * 8;
    const auto &a = shorter[stage], &b = longer[stage];
    ASSERT_EQ(b.size(), a.size() + 6 * 8);
    EXPECT_TRUE(std::equal(a.begin(), a.begin() + warm_up, b.begin()));
    for (std::size_t i = 1; i <= cool_down; ++i) {
      PipelineTask later = a[a.size() - i];
      later.microbatch += 8;
      EXPECT_EQ(b[b.size() - i], later);
    }
  }
}

TEST(Schedule, RefusesWhatItCannotLayOut) {
  EXPECT_THROW(pipeline_schedule(layout_of(Schedule::one_f_one_b, 2, 1), 0), std::invalid_argument);
  EXPECT_THROW(pipeline_schedule(layout_of(Schedule::zb_1p, 2, 2), 4), std::invalid_argument);
  EXPECT_THROW(pipeline_schedule(layout_of(Schedule::zb_v, 2, 1), 4), std::invalid_argument);
}

}  // namespace
}  // namespace models
