#include "sim/difference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "hw/input_error.h"
#include "models/run.h"
#include "tests/sim/published_runs.h"

namespace sim {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;

Prediction prediction_of(double step, double factor, std::vector<BreakdownItem> breakdown = {}) {
  Prediction prediction;
  prediction.step_time = {step};
  prediction.low = {step / factor};
  prediction.high = {step * factor};
  prediction.breakdown = std::move(breakdown);
  return prediction;
}

std::vector<Prediction> published_predictions() {
  models::Library library({kRoot});
  std::vector<Prediction> predictions;
  for (const hw::Node& row : published_rows(library, 3)) {
    try {
      const models::Run run = models::parse_run(row, library, true);
      predictions.push_back(predict(run, default_efficiency(run, library), Tier::closed_form));
    } catch (const hw::InputError&) {
      continue;  // refused rows are the subject of other tests
    }
  }
  return predictions;
}

void expect_adds_up(const Prediction& a, const Prediction& b) {
  const Difference d = difference(a, b);
  double parts = 0, memory = 0, last = HUGE_VAL;
  for (const PartChange& part : d.parts) {
    parts += part.change().value;
    EXPECT_LE(std::abs(part.change().value), last);
    last = std::abs(part.change().value);
  }
  for (const MemoryChange& kind : d.memory) memory += kind.change().value;
  constexpr double kRounding = 1e-12;
  EXPECT_NEAR(parts, d.step.value, kRounding * (a.step_time + b.step_time).value);
  EXPECT_NEAR(memory, (b.memory.peak - a.memory.peak).value, kRounding * (a.memory.peak + b.memory.peak).value);
}

TEST(Difference, AddsUpForPairsOfPublishedRuns) {
  const std::vector<Prediction> all = published_predictions();
  ASSERT_GE(all.size(), 150u);
  for (std::size_t i = 0; i < all.size(); ++i)
    for (const std::size_t step : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{61}})
      expect_adds_up(all[i], all[(i + step) % all.size()]);
}

TEST(Difference, LinesOfEitherRunAreThere) {
  const Difference d = difference(prediction_of(10, 1, {{"gemm", {7}}, {"host", {3}}}),
                                  prediction_of(9, 1, {{"gemm", {4}}, {"cast", {5}}}));
  ASSERT_EQ(d.parts.size(), 3u);
  EXPECT_EQ(d.parts[0].what, "cast");
  EXPECT_EQ(d.parts[0].change().value, 5);
  EXPECT_EQ(d.parts[1].what, "gemm");  // as large as that of host, and in front of it in a
  EXPECT_EQ(d.parts[1].change().value, -3);
  EXPECT_EQ(d.parts[2].b.value, 0);
}

// Steps of 10 s (8 to 12.5) and 20 s (16 to 25). If both err alike: 16 - 8 to 25 - 12.5. If each errs on its own, the
// low end is 10 - sqrt((20 - 16)^2 + (12.5 - 10)^2) = 5.28, the high end 10 + sqrt(5^2 + 2^2) = 15.39.
TEST(Difference, RangesByHand) {
  const Difference d = difference(prediction_of(10, 1.25), prediction_of(20, 1.25));
  EXPECT_NEAR(d.shared.low.value, 8, 1e-12);
  EXPECT_NEAR(d.shared.high.value, 12.5, 1e-12);
  EXPECT_NEAR(d.independent.low.value, 5.283, 1e-3);
  EXPECT_NEAR(d.independent.high.value, 15.385, 1e-3);
}

// An 80 % interval of a factor f is 1.2816 standard deviations; of a ratio of two, sqrt(2) times as wide. Steps whose
// ratio is f^sqrt(2) are 1.2816 deviations apart: 90 in 100 lie below.
TEST(Difference, ChanceOfTheOrderByHand) {
  const double factor = 1.1, ratio = std::pow(factor, std::sqrt(2.0));
  EXPECT_NEAR(difference(prediction_of(1, factor), prediction_of(ratio, factor)).b_slower, 0.9, 1e-9);
  EXPECT_NEAR(difference(prediction_of(ratio, factor), prediction_of(1, factor)).b_slower, 0.1, 1e-9);
  EXPECT_EQ(difference(prediction_of(1, factor), prediction_of(1, factor)).b_slower, 0.5);
  EXPECT_EQ(difference(prediction_of(1, 1), prediction_of(2, 1)).b_slower, 1);
}

TEST(OpChanges, OpsOfEitherRunAreThere) {
  const auto rows = op_changes({{"head", "logits", {2}, Bound::compute}, {"layer", "fc1", {3}, Bound::compute}},
                               {{"layer", "fc1", {5}, Bound::hbm}, {"layer", "router", {1}, Bound::host}});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].change().value, -2);
  EXPECT_EQ(rows[1].a_bound, Bound::compute);
  EXPECT_EQ(rows[1].b_bound, Bound::hbm);
  EXPECT_EQ(rows[2].op, "router");
  EXPECT_EQ(rows[2].a.value, 0);
}

}  // namespace
}  // namespace sim
