#include "sim/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "models/layout.h"
#include "models/schedule.h"

namespace sim {
namespace {

using models::Layout;
using models::Phase;
using models::PipelineTask;
using models::Schedule;

Layout layout_of(Schedule schedule, int pp, int vp = 1) {
  Layout layout;
  layout.schedule = schedule;
  layout.pp = pp;
  layout.vp = vp;
  return layout;
}

ChunkTimes chunk_of(double forward, double backward) {
  return {.forward = {forward},
          .backward = {backward},
          .input_grad = {backward / 2},
          .weight_grad = {backward / 2},
          .first_forward_extra = {},
          .last_backward_extra = {},
          .merged = {}};
}

PipelineTimes equal_times(const Layout& layout, double forward, double backward) {
  PipelineTimes times;
  const int chunks = layout.pp * layout.vp;
  times.chunks.assign(static_cast<std::size_t>(chunks), chunk_of(forward, backward));
  return times;
}

PipelinePlay play(const Layout& layout, const PipelineTimes& times, int microbatches, bool spans = false) {
  const auto orders = models::pipeline_schedule(layout, microbatches, phase_times(times), times.merge_ep);
  return play_pipeline(layout, orders, times, spans);
}

// Rank 0: F 0-1-2, B0 at 4 (rank 1: F0 1-2, B0 2-4) to 6, F2 6-7, B1 7-9, F3 9-10, B2 10-12, B3 of rank 1 ends at 13,
// B3 13-15. Busy 12 of 15: the bubble is (pp - 1)(F + B) = 3 on each rank.
TEST(PlayPipeline, OneForwardOneBackwardByHand) {
  const Layout layout = layout_of(Schedule::one_f_one_b, 2);
  const PipelinePlay result = play(layout, equal_times(layout, 1, 2), 4, true);
  EXPECT_DOUBLE_EQ(result.makespan.value, 15);
  EXPECT_EQ(result.busy, (std::vector<hw::Seconds>{{12}, {12}}));
  EXPECT_EQ(result.bubble, (std::vector<hw::Seconds>{{3}, {3}}));
  EXPECT_DOUBLE_EQ(result.spans[2].start.value, 4);
  EXPECT_EQ(result.spans[2].task, (PipelineTask{Phase::backward, 0, 0}));
}

// Stages of 1 + 1 and 3 + 3: rank 1 starts at 1 and is never idle for 4 * 6; rank 0's last backward follows: 26.
TEST(PlayPipeline, UnevenStagesByHand) {
  const Layout layout = layout_of(Schedule::one_f_one_b, 2);
  PipelineTimes times = equal_times(layout, 1, 1);
  times.chunks[1] = chunk_of(3, 3);
  const PipelinePlay result = play(layout, times, 4);
  EXPECT_DOUBLE_EQ(result.makespan.value, 26);
  EXPECT_EQ(result.critical_stage, 1);
}

// Two flow shops: 4 forwards and one more stage, 5; 4 backwards of 2 and one more stage, 10.
TEST(PlayPipeline, GpipeByHand) {
  const Layout layout = layout_of(Schedule::gpipe, 2);
  EXPECT_DOUBLE_EQ(play(layout, equal_times(layout, 1, 2), 4).makespan.value, 15);
}

// Half chunks: work 2 * 4 * 3 = 24 a rank, bubble (pp - 1)(F + B) of a chunk = 3.
TEST(PlayPipeline, InterleavedByHand) {
  const Layout layout = layout_of(Schedule::interleaved, 2, 2);
  EXPECT_DOUBLE_EQ(play(layout, equal_times(layout, 1, 2), 4).makespan.value, 27);
}

// 1 microbatch, 2 stages, transfers of 0.5 each way: F 0-1, 1.5-2.5, B 2.5-4.5, 5-7.
// A first-forward extra of 1 on both ranks delays both forwards; a last-backward extra of 3 on rank 1 hides behind the
// backward of rank 0, since the input gradient was sent before.
TEST(PlayPipeline, TransfersAndExtrasByHand) {
  const Layout layout = layout_of(Schedule::one_f_one_b, 2);
  PipelineTimes times = equal_times(layout, 1, 2);
  times.send_forward = times.send_backward = {0.5};
  EXPECT_DOUBLE_EQ(play(layout, times, 1).makespan.value, 7);
  EXPECT_DOUBLE_EQ(play(layout, times, 1).wait_send[1].value, 0.5);
  times.chunks[0].first_forward_extra = times.chunks[1].first_forward_extra = {1};
  EXPECT_DOUBLE_EQ(play(layout, times, 1).makespan.value, 9);
  times.chunks[1].last_backward_extra = {2};
  EXPECT_DOUBLE_EQ(play(layout, times, 1).makespan.value, 9);
  times.chunks[0].last_backward_extra = {2};
  EXPECT_DOUBLE_EQ(play(layout, times, 1).makespan.value, 11);
}

// 2 microbatches with transfers of 1 that hold the streams; F = B = 2. Rank 0: F0 0-2, F1 3-5 (sending 2-3). Rank 1:
// F0 3-5, B0 5-7 (needs no transfer), F1 after sending B0 7-8 while receiving: 8-10, B1 10-12. Rank 0: B0 received by
// 8, 8-10, B1 received by 13, 13-15. Asynchronous: F1 of rank 1 starts at 7, B1 ends at 11, rank 0 runs it 12-14.
TEST(PlayPipeline, BlockingTransfersByHand) {
  const Layout layout = layout_of(Schedule::one_f_one_b, 2);
  PipelineTimes times = equal_times(layout, 2, 2);
  times.send_forward = times.send_backward = {1};
  EXPECT_DOUBLE_EQ(play(layout, times, 2).makespan.value, 14);
  times.send_overlapped = false;
  EXPECT_DOUBLE_EQ(play(layout, times, 2).makespan.value, 15);
}

// One rank, 4 microbatches, F 1, B 2, merged 2: F0, (F1 B0), (F2 B1), (F3 B2), B3 = 1 + 3 * 2 + 2.
TEST(PlayPipeline, MergedPairsByHand) {
  const Layout layout = layout_of(Schedule::one_f_one_b, 1);
  PipelineTimes times = equal_times(layout, 1, 2);
  times.merge_ep = true;
  times.chunks[0].merged = {2};
  EXPECT_DOUBLE_EQ(play(layout, times, 4).makespan.value, 9);
}

TEST(PlayPipeline, RefusesOrdersThatDeadlock) {
  const Layout layout = layout_of(Schedule::one_f_one_b, 2);
  auto orders = models::pipeline_schedule(layout, 2);
  std::swap(orders[0][1], orders[0][2]);  // F0 B0 F1 B1: waits for B0 of rank 1
  std::swap(orders[1][0], orders[1][2]);  // F1 B0 F0 B1: waits for F1 of rank 0
  EXPECT_THROW(play_pipeline(layout, orders, equal_times(layout, 1, 1)), std::logic_error);
}

// Bubbles for F = B = W = 1. 1F1B: (p - 1)(F + B + W); ZB-H1: (p - 1)(F + B - W); ZB-H2: (p - 1)(F + B - 2 W) = 0 for
// m >= 2p, as the longest stage's span (arXiv 2401.10241, table 2). ZB-V: 0 there; the layout here leaves up to a fifth
// of a chunk's forward per stage.
TEST(PlayPipeline, BubblesOfThePapers) {
  for (const int p : {2, 4, 5, 8, 16, 32}) {
    const int m = 4 * p;
    const auto bubble = [&](Schedule schedule, int vp, int microbatches) {
      const Layout layout = layout_of(schedule, p, vp);
      const PipelinePlay result = play(layout, equal_times(layout, 1, 2), microbatches);
      return std::pair{result.makespan.value - 3.0 * vp * microbatches,
                       result.longest_span.value - 3.0 * vp * microbatches};
    };
    EXPECT_DOUBLE_EQ(bubble(Schedule::one_f_one_b, 1, m).first, 3 * (p - 1));
    EXPECT_DOUBLE_EQ(bubble(Schedule::interleaved, 4, m).first, 3 * (p - 1));
    EXPECT_DOUBLE_EQ(bubble(Schedule::zb_1p, 1, m).first, p - 1);
    EXPECT_DOUBLE_EQ(bubble(Schedule::zb_2p, 1, m).second, 0);
    for (const int more : {2, 3, 8}) {
      EXPECT_DOUBLE_EQ(bubble(Schedule::zb_2p, 1, more * p).second, 0);
      EXPECT_LE(bubble(Schedule::zb_v, 2, more * p).second, p / 5);
    }
  }
}

PipelineTimes split_times(const Layout& layout, double input_grad, double weight_grad, double send) {
  PipelineTimes times = equal_times(layout, 1, input_grad + weight_grad);
  for (ChunkTimes& chunk : times.chunks) chunk.input_grad = {input_grad}, chunk.weight_grad = {weight_grad};
  times.send_forward = times.send_backward = {send};
  return times;
}

// Unequal phases. ZB-H1 keeps its formula (arXiv 2401.10241, table 2). ZB-2p and ZB-V have none; with transfers of 5 %
// of a chunk's forward they leave a quarter and a third of 1F1B's bubble without any, (p - 1)(F + B + W) of stages.
TEST(PlayPipeline, BubblesOfUnequalPhases) {
  for (const int p : {4, 8, 16, 32}) {
    for (const double input_grad : {1.1, 1.2}) {
      const double weight_grad = 2 - input_grad, work = 3 * 4 * p, bubble_1f1b = 3 * (p - 1);
      const Layout once = layout_of(Schedule::zb_1p, p), twice = layout_of(Schedule::zb_2p, p),
                   v = layout_of(Schedule::zb_v, p, 2);
      EXPECT_NEAR(play(once, split_times(once, input_grad, weight_grad, 0), 4 * p).makespan.value - work,
                  (p - 1) * (1 + input_grad - weight_grad), 1e-9 * work);
      EXPECT_LE(play(twice, split_times(twice, input_grad, weight_grad, 0.05), 4 * p).longest_span.value - work,
                0.26 * bubble_1f1b);
      EXPECT_LE(play(v, split_times(v, input_grad, weight_grad, 0.05), 4 * p).longest_span.value - 2 * work,
                0.34 * 2 * bubble_1f1b);
    }
  }
}

// Repeating the steady state adds no idle time: 100 microbatches more cost their work. Phases and
// transfers as on A100s (arXiv 2401.10241): the first and the last chunk hold fewer layers, beside embedding and loss.
TEST(PlayPipeline, ZeroBubbleStaysFullHoweverLong) {
  for (const Schedule schedule : {Schedule::zb_1p, Schedule::zb_2p, Schedule::zb_v}) {
    const Layout layout = layout_of(schedule, 16, schedule == Schedule::zb_v ? 2 : 1);
    PipelineTimes times = split_times(layout, 1.16, 0.9, 0.13);
    times.chunks.front() = chunk_of(0.5, 1);
    times.chunks.back() = chunk_of(0.9, 1.6);
    const double shorter = play(layout, times, 80).longest_span.value, work = layout.vp * (1 + 1.16 + 0.9);
    EXPECT_NEAR(play(layout, times, 180).longest_span.value - shorter, 100 * work, 0.01 * 100 * work);
  }
}

struct Case {
  Layout layout;
  PipelineTimes times;
  int microbatches;
};

/// pp 1 to 16, vp 1 to 8, m 1 to 256, chunks uneven up to 2x, transfers up to 10 % of a forward.
Case random_case(std::mt19937& random, Schedule schedule) {
  const auto any = [&](int from, int to) {
    return from + static_cast<int>(random() % static_cast<unsigned>(to - from + 1));
  };
  const auto real = [&](double from, double to) { return from + (to - from) * any(0, 1000) / 1000; };
  const int vp = schedule == Schedule::zb_v ? 2 : schedule == Schedule::interleaved ? any(2, 8) : 1;
  Case out{layout_of(schedule, any(1, 16), vp), {}, any(1, 256)};
  if (any(0, 1) == 1) out.microbatches = std::max(1, out.microbatches / out.layout.pp) * out.layout.pp;
  out.times.send_forward = out.times.send_backward = {any(0, 2) == 0 ? 0 : real(0, 0.1)};
  out.times.send_overlapped = any(0, 1) == 1;
  out.times.merge_ep = any(0, 4) == 0;
  const double split = any(0, 1) == 0 ? 1 : real(0.6, 1.4);
  const double uneven = any(0, 3) == 0 ? 1 : real(1, 2), first = any(0, 1) * real(0, 1), last = any(0, 1) * real(0, 2);
  for (int c = 0; c < out.layout.pp * vp; ++c) {
    const double factor = real(1, uneven);
    ChunkTimes chunk = chunk_of(factor, 2 * factor);
    chunk.input_grad = {split * factor};
    chunk.weight_grad = {(2 - split) * factor};
    chunk.first_forward_extra = {first};
    chunk.last_backward_extra = {last};
    chunk.merged = {real(2.4, 3) * factor};
    out.times.chunks.push_back(chunk);
  }
  return out;
}

constexpr Schedule kAll[] = {Schedule::one_f_one_b, Schedule::interleaved, Schedule::gpipe,
                             Schedule::zb_1p,       Schedule::zb_2p,       Schedule::zb_v};

// Every task starts exactly when its stage is free and its input is there; merged and blocking plays are left out,
// since their rule is another one.
TEST(PlayPipeline, TasksStartNeitherEarlyNorLate) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 60; ++trial) {
    Case c = random_case(random, kAll[trial % 6]);
    c.times.send_overlapped = true;
    c.times.merge_ep = false;
    for (ChunkTimes& chunk : c.times.chunks) chunk.last_backward_extra = {0};
    const PipelinePlay result = play(c.layout, c.times, std::min(c.microbatches, 40), true);
    std::map<std::tuple<bool, int, int>, double> done;
    for (const TaskSpan& span : result.spans)
      if (span.task.phase != Phase::weight_grad)
        done[{span.task.phase == Phase::forward, span.task.chunk, span.task.microbatch}] = span.end.value;
    const int last = c.layout.pp * c.layout.vp - 1;
    int stage = -1;
    double free = 0;
    for (const TaskSpan& span : result.spans) {
      if (span.stage != stage) free = 0;
      stage = span.stage;
      double earliest = free;
      const auto& [phase, chunk, microbatch] = span.task;
      const bool forward = phase == Phase::forward;
      const int from = forward ? chunk - 1 : chunk + 1;
      if (phase != Phase::weight_grad && from >= 0 && from <= last) {
        const bool crosses = c.layout.stage_of_chunk(from) != stage;
        const double input = done.at({forward, from, microbatch});
        earliest = std::max(earliest, input + (crosses ? c.times.send_forward.value : 0));
      } else if (!forward) {
        earliest = std::max(earliest, done.at({phase != Phase::weight_grad, chunk, microbatch}));
      }
      ASSERT_DOUBLE_EQ(span.start.value, earliest);
      free = span.end.value;
    }
  }
}

TEST(PlayPipeline, NeverDeadlocksAndTakesAtLeastTheWorkAndThePath) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 600; ++trial) {
    const Case c = random_case(random, kAll[trial % 6]);
    const PipelinePlay result = play(c.layout, c.times, c.microbatches);
    double path = 0;  // of one microbatch, there and back
    for (const ChunkTimes& chunk : c.times.chunks)
      path += (chunk.forward + (c.layout.schedule < Schedule::zb_1p ? chunk.backward : chunk.input_grad)).value;
    if (!c.times.merge_ep) {
      EXPECT_GE(result.makespan.value, path - 1e-9);
    }
    for (std::size_t s = 0; s < result.busy.size(); ++s) {
      EXPECT_GE(result.bubble[s].value, -1e-9 * result.makespan.value);
      EXPECT_NEAR((result.busy[s] + result.wait_send[s] + result.bubble[s]).value, result.makespan.value, 1e-6);
    }
  }
}

// The order is free of deadlock for every rest of microbatches, with and without merging.
TEST(PlayPipeline, InterleavedTakesAnyNumberOfMicrobatches) {
  for (int pp = 1; pp <= 9; ++pp)
    for (int vp = 2; vp <= 5; ++vp)
      for (int m = 1; m <= 3 * pp + 2; ++m)
        for (const bool merged : {false, true}) {
          const Layout layout = layout_of(Schedule::interleaved, pp, vp);
          PipelineTimes times = equal_times(layout, 1, 2);
          times.merge_ep = merged;
          EXPECT_NO_THROW(play(layout, times, m)) << pp << ' ' << vp << ' ' << m << ' ' << merged;
        }
}

TEST(PipelineFormula, IsExactWhereItSaysSo) {
  for (const int pp : {1, 2, 4, 8})
    for (const int m : {1, 3, 8, 64}) {
      const Layout one = layout_of(Schedule::one_f_one_b, pp), interleaved = layout_of(Schedule::interleaved, pp, 3);
      const PipelineTimes times = equal_times(one, 1, 2), thirds = equal_times(interleaved, 1, 2);
      EXPECT_DOUBLE_EQ(pipeline_formula(one, times, m).makespan.value, 3.0 * (m + pp - 1));
      EXPECT_DOUBLE_EQ(play(one, times, m).makespan.value, 3.0 * (m + pp - 1));
      EXPECT_DOUBLE_EQ(pipeline_formula(interleaved, thirds, m * pp).makespan.value, 3.0 * (3 * m * pp + pp - 1));
      EXPECT_DOUBLE_EQ(play(interleaved, thirds, m * pp).makespan.value, 3.0 * (3 * m * pp + pp - 1));
    }
  std::mt19937 random(3);
  for (int trial = 0; trial < 100; ++trial) {
    Case c = random_case(random, Schedule::gpipe);
    c.times.send_overlapped = true;
    const double played = play(c.layout, c.times, c.microbatches).makespan.value;
    EXPECT_NEAR(pipeline_formula(c.layout, c.times, c.microbatches).makespan.value, played, 1e-9 * played);
  }
}

// Formula against play. Uneven interleaved chunks settle slowly, which a short play cannot see.
TEST(PipelineFormula, AgreesWithThePlay) {
  std::mt19937 random(4);
  for (const Schedule schedule : kAll) {
    std::vector<double> errors;
    for (int trial = 0; trial < 150; ++trial) {
      const Case c = random_case(random, schedule);
      const PipelinePlay played = play(c.layout, c.times, c.microbatches);
      const PipelineCost formula = pipeline_formula(c.layout, c.times, c.microbatches);
      errors.push_back(std::abs(formula.makespan.value / played.makespan.value - 1));
      EXPECT_NEAR(formula.longest_span / played.longest_span, formula.makespan / played.makespan, 0.02);
    }
    std::sort(errors.begin(), errors.end());
    RecordProperty("worst_" + std::to_string(static_cast<int>(schedule)), std::to_string(errors.back()));
    EXPECT_LE(errors[errors.size() * 9 / 10], 0.005) << static_cast<int>(schedule);
    const double worst = schedule == Schedule::interleaved ? 0.04 : schedule < Schedule::zb_1p ? 0.02 : 0.01;
    EXPECT_LE(errors.back(), worst) << static_cast<int>(schedule);
  }
}

}  // namespace
}  // namespace sim
