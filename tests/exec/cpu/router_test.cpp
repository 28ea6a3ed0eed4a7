#include "exec/cpu/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "tests/exec/cpu/table.h"

namespace exec::cpu {
namespace {

using Experts = std::vector<std::int32_t>;

Table<double> row_of(const std::vector<double>& values) {
  Table<double> row(1, static_cast<std::int64_t>(values.size()));
  std::copy(values.begin(), values.end(), row.row(0));
  return row;
}

Experts choice(const RouterRule& rule, const std::vector<double>& logits, const double* correction = nullptr) {
  Experts chosen(static_cast<std::size_t>(rule.top_k));
  const Table<double> row = row_of(logits);
  choose_experts<double>(rule, row.view(), correction, chosen.data());
  return chosen;
}

TEST(ChooseExperts, BestFirstAndEqualOnesByNumber) {
  EXPECT_EQ(choice({.top_k = 3}, {1, 3, 2, 3, 0}), (Experts{1, 3, 2}));
  EXPECT_EQ(choice({.top_k = 2}, {0, 0, 0}), (Experts{0, 1}));
}

TEST(ChooseExperts, ByTheCorrectedScore) {
  // Scores 0.5, 0.731, 0.881; with the correction 0.9, 0.731, 0.881.
  const std::vector<double> correction{0.4, 0, 0};
  EXPECT_EQ(choice({.score = RouterScore::sigmoid, .top_k = 2}, {0, 1, 2}, correction.data()), (Experts{0, 2}));
}

TEST(ChooseExperts, OfTheBestGroups) {
  // Sums of two: 9 + 0, 5 + 5, 1 + 1: group 1 is best although expert 0 is, then group 0.
  const std::vector<double> logits{9, 0, 0, 5, 5, 0, 1, 1, 1};
  EXPECT_EQ(choice({.top_k = 2, .groups = 3, .chosen_groups = 1}, logits), (Experts{3, 4}));
  EXPECT_EQ(choice({.top_k = 3, .groups = 3, .chosen_groups = 2}, logits), (Experts{0, 3, 4}));
}

struct Case {
  RouterRule rule;
  Table<double> logits;
  Experts chosen;  ///< forced, not the best ones
};

Case random_case(RouterScore score, int seed) {
  Random random(seed);
  const std::int64_t experts = random.integer(1, 20), rows = random.integer(1, 5);
  const RouterRule rule{.score = score,
                        .top_k = random.integer(1, experts),
                        .normalized = random.coin(),
                        .scaling = random.number(0.5, 2.5)};
  Case c{rule, random.table(rows, experts, 3), {}};
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < rule.top_k; ++j)
      c.chosen.push_back(static_cast<std::int32_t>((7 * i + j) % experts));  // distinct
  return c;
}

Table<double> directly(const Case& c) {
  Table<double> weights(c.logits.rows(), c.rule.top_k);
  for (std::int64_t i = 0; i < c.logits.rows(); ++i) {
    double all = 0, picked = 0;
    const auto logit = [&](std::int64_t j) {
      return c.logits.at(i, c.chosen[static_cast<std::size_t>(i * c.rule.top_k + j)]);
    };
    for (std::int64_t e = 0; e < c.logits.columns(); ++e) all += std::exp(c.logits.at(i, e));
    for (std::int64_t j = 0; j < c.rule.top_k; ++j) {
      const double score = c.rule.score == RouterScore::sigmoid   ? 1 / (1 + std::exp(-logit(j)))
                           : c.rule.score == RouterScore::softmax ? std::exp(logit(j)) / all
                                                                  : std::exp(logit(j));
      weights.at(i, j) = score * c.rule.scaling;
      picked += score;
    }
    if (c.rule.normalized || c.rule.score == RouterScore::softmax_of_chosen)
      for (std::int64_t j = 0; j < c.rule.top_k; ++j) weights.at(i, j) /= picked;
  }
  return weights;
}

class RouterScores : public testing::TestWithParam<std::tuple<RouterScore, int>> {};
INSTANTIATE_TEST_SUITE_P(Random, RouterScores,
                         testing::Combine(testing::Values(RouterScore::softmax, RouterScore::softmax_of_chosen,
                                                          RouterScore::sigmoid),
                                          testing::Range(0, 10)));

TEST_P(RouterScores, WeightsAndTheirDerivative) {
  Case c = random_case(std::get<0>(GetParam()), std::get<1>(GetParam()));
  Table<double> weights(c.logits.rows(), c.rule.top_k);
  expert_weights(c.rule, c.logits.view(), c.chosen.data(), weights.view());
  expect_close(weights, directly(c), 1e-14, "weights");
  Table<float> weights_float(weights);
  expert_weights(c.rule, Table<float>(c.logits).view(), c.chosen.data(), weights_float.view());
  expect_close(weights_float, weights, 1e-6, "float weights");

  const Table<double> dweights = Random(std::get<1>(GetParam()) + 1000).table(weights.rows(), weights.columns());
  Table<double> dlogits(c.logits);
  expert_weights_backward(c.rule, dweights.view(), c.logits.view(), c.chosen.data(), dlogits.view());
  expect_gradient([&] { return weighted_sum(directly(c), dweights); }, c.logits, dlogits, "dlogits");
}

}  // namespace
}  // namespace exec::cpu
