// Answers of a search against the layouts that it chose from, each predicted alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "hw/node.h"
#include "models/run.h"
#include "search/answer.h"
#include "search/explore.h"
#include "search/query.h"
#include "search/space.h"
#include "sim/prediction.h"

namespace search {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;

hw::Node profile() { return hw::Node::read_file(kRoot + "/calibration/profiles/default.json"); }

Query query_of(const std::string& text, models::Library& library) {
  return parse_query(hw::Node::parse(text, "query.json"), library);
}

std::vector<hw::Efficiency> efficiencies_of(const Space& space) {
  std::vector<hw::Efficiency> efficiencies;
  efficiencies.reserve(static_cast<std::size_t>(space.settings()));
  for (int i = 0; i < space.settings(); ++i)
    efficiencies.push_back(hw::parse_efficiency(profile(), space.setting(i).base().cluster));
  return efficiencies;
}

struct Case {
  std::string name, query;
};

std::ostream& operator<<(std::ostream& out, const Case& tested) { return out << tested.name; }

/// Small questions of every kind, those that `stepcast search --check` answers in docs/search_accuracy.md.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const hw::Node::Line& line : hw::Node::read_lines(kRoot + "/configs/searches/checked.jsonl"))
    all.push_back({line.node->at("id").text(), line.node->dump()});
  return all;
}

class Searches : public testing::TestWithParam<Case> {};

void expect_same(const std::vector<Candidate>& a, const std::vector<Candidate>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].keys, b[i].keys) << i;
    EXPECT_EQ(a[i].setting, b[i].setting) << i;
    EXPECT_EQ(a[i].time, b[i].time) << i;
    EXPECT_EQ(a[i].peak, b[i].peak) << i;
  }
}

// Bounds cut nothing that is shown, and neither threads nor shards change the answer.
TEST_P(Searches, FindTheSameWithoutPruning) {
  models::Library library({kRoot});
  Query query = query_of(GetParam().query, library);
  const Space space(query, library);
  const auto efficiencies = efficiencies_of(space);
  const Found pruned = explore(query, space, efficiencies, 2, {});
  query.prune = false;
  const Found whole = explore(query, space, efficiencies, 1, {});
  ASSERT_FALSE(whole.best.best().empty());
  expect_same(pruned.best.best(), whole.best.best());
  expect_same(pruned.front.members(), whole.front.members());
  expect_same(pruned.misses.best(), whole.misses.best());
  EXPECT_EQ(pruned.counts.legal, whole.counts.legal);
  EXPECT_EQ(pruned.counts.too_large, whole.counts.too_large);
  EXPECT_EQ(pruned.counts.timed + pruned.counts.pruned, whole.counts.timed);
  EXPECT_EQ(whole.counts.legal, whole.counts.timed + whole.counts.too_large);
}

/// The layout of a candidate, as a run description says it.
models::Run run_of(const Query& query, const Space& space, const Candidate& candidate, models::Library& library) {
  models::Run laid_out = space.setting(candidate.setting).base();
  EXPECT_FALSE(space.setting(candidate.setting).lay_out(candidate.keys, laid_out));
  return models::parse_run(description_of(query, candidate, laid_out), library, false);
}

// What is shown as a run description is predicted by `stepcast predict` as the search saw it.
TEST_P(Searches, ShowRunsThatPredictAsSearched) {
  models::Library library({kRoot});
  const Query query = query_of(GetParam().query, library);
  const Space space(query, library);
  const auto efficiencies = efficiencies_of(space);
  const Found found = explore(query, space, efficiencies, 1, {});
  for (const std::vector<Candidate>* list : {&found.best.best(), &found.front.members(), &found.misses.best()}) {
    for (const Candidate& candidate : *list) {
      const models::Run run = run_of(query, space, candidate, library);
      const auto& efficiency = efficiencies[static_cast<std::size_t>(candidate.setting)];
      const sim::Prediction prediction = sim::predict(run, efficiency, sim::Tier::closed_form);
      EXPECT_NEAR(candidate.time / prediction.step_time, 1, 1e-9);
      EXPECT_NEAR(candidate.peak / prediction.memory.peak, 1, 1e-9);
    }
  }
}

// The closed form's first layout is at most 1 % slower by events than the best of all that fit.
TEST_P(Searches, ClosedFormPicksWhatEventsWould) {
  models::Library library({kRoot});
  Query query = query_of(GetParam().query, library);
  if (query.objective == Objective::memory) GTEST_SKIP() << "ranked by memory, which both tiers predict alike";
  query.rerank = 100'000;  // all that fit
  const Space space(query, library);
  const auto efficiencies = efficiencies_of(space);
  const Found found = explore(query, space, efficiencies, 2, {});
  const auto by_events = [&](const Candidate& candidate) {
    const models::Run run = run_of(query, space, candidate, library);
    const auto& efficiency = efficiencies[static_cast<std::size_t>(candidate.setting)];
    const Judge judge(query, run.cluster, run.layout.gbs, run.layout.seq_len);
    const sim::Prediction prediction = sim::predict(run, efficiency, sim::Tier::events);
    const Score score = judge.score(run.layout.gpus, prediction.step_time, prediction.memory.peak);
    return query.fewest_gpus ? score.second : score.first;
  };
  const double first = by_events(found.best.best().front());
  double best = first;
  for (const Candidate& candidate : found.best.best())
    if (!query.fewest_gpus || candidate.keys.gpus == found.best.best().front().keys.gpus)
      best = std::min(best, by_events(candidate));
  EXPECT_LE(first, 1.01 * best);
}

INSTANTIATE_TEST_SUITE_P(Queries, Searches, testing::ValuesIn(cases()),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(Search, StopsWhenAsked) {
  models::Library library({kRoot});
  const Query query = query_of(cases().front().query, library);
  const std::atomic<bool> stop = true;
  const Answer answer = search(query, library, profile(), 1, {.report = {}, .stop = &stop});
  EXPECT_FALSE(answer.complete());
  EXPECT_TRUE(answer.rows.empty());
}

TEST(Search, MarksTiesAndOneRobustRow) {
  models::Library library({kRoot});
  const Answer answer = search(query_of(cases().front().query, library), library, profile(), 1, {});
  ASSERT_TRUE(answer.complete());
  ASSERT_GT(answer.rows.size(), 2u);
  EXPECT_EQ(std::ranges::count_if(answer.rows, &Row::robust), 1);
  EXPECT_FALSE(answer.rows.front().tie);
  EXPECT_TRUE(std::ranges::is_sorted(answer.rows, {}, &Row::score));
  for (const Row& row : answer.rows) {
    const double ratio = row.prediction.step_time / answer.rows.front().prediction.step_time;
    if (row.tie) {
      EXPECT_LT(ratio, 1.2);
    }
    EXPECT_LE(row.prediction.memory.peak, 0.95 * row.run.cluster.gpu.memory);
  }
}

// 8 GPUs of 80 GiB hold none of 70 billion parameters' 16 bytes each: the answer is no.
TEST(Search, SaysThatNothingFits) {
  models::Library library({kRoot});
  const Answer answer = search(query_of(R"({"model": "llama3.1-405b", "system": "h100", "gpus": 8,
      "framework": "megatron-bridge", "precision": "bf16", "seq_len": 8192, "gbs": 8})",
                                        library),
                               library, profile(), 1, {});
  EXPECT_TRUE(answer.rows.empty());
  EXPECT_GT(answer.counts.legal, 0);
  EXPECT_EQ(answer.counts.legal, answer.counts.too_large);
}

}  // namespace
}  // namespace search
