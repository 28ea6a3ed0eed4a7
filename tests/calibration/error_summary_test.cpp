#include "calibration/error_summary.h"

#include <gtest/gtest.h>

#include <vector>

namespace calibration {
namespace {

ValidatedRow row(double measured, double predicted, double low, double high) {
  ValidatedRow result;
  result.measured = {measured};
  result.predicted = {predicted};
  result.low = {low};
  result.high = {high};
  return result;
}

// Errors -0.1, +0.2, +0.5; |error| 0.1, 0.2, 0.5: median 0.2, mean 0.8/3, p90 at position 1.8: 0.44.
std::vector<ValidatedRow> three_rows() {
  std::vector<ValidatedRow> rows{row(10, 9, 8, 10), row(10, 12, 11, 13), row(10, 15, 9, 20)};
  rows[0].model = rows[1].model = "b";
  rows[2].model = "a";
  return rows;
}

TEST(ErrorSummary, ThreeRowsByHand) {
  std::vector<ValidatedRow> rows = three_rows();
  ValidatedRow refused;
  refused.refused = "why";
  rows.push_back(refused);
  const ErrorSummary summary = summarize(all_rows(rows)).prediction;
  EXPECT_EQ(summary.n, 3);
  EXPECT_EQ(summary.refused, 1);
  EXPECT_NEAR(summary.median_abs, 0.2, 1e-12);
  EXPECT_NEAR(summary.mean_abs, 0.8 / 3, 1e-12);
  EXPECT_NEAR(summary.p90_abs, 0.44, 1e-12);
  EXPECT_NEAR(summary.max_abs, 0.5, 1e-12);
  EXPECT_NEAR(summary.bias, 0.2, 1e-12);
  EXPECT_NEAR(summary.coverage, 2.0 / 3, 1e-12);  // the ends of an interval belong to it: 10 in [8, 10]
}

TEST(ErrorSummary, MemoryOfTheRowsThatMeasuredIt) {
  std::vector<ValidatedRow> rows = three_rows();
  rows[0].memory_predicted = {80};
  rows[0].memory_measured = {100};
  rows[1].memory_predicted = {110};
  rows[1].memory_measured = {100};
  const ErrorSummary summary = summarize(all_rows(rows)).prediction;
  EXPECT_EQ(summary.memory_n, 2);
  EXPECT_NEAR(summary.memory_median_abs, 0.15, 1e-12);
  EXPECT_NEAR(summary.memory_max_abs, 0.2, 1e-12);
}

// Both rows need the same FLOPs, so the rival cannot tell them apart, whatever MFU each was given.
TEST(ErrorSummary, RivalOrdersByFlopsNotByTheMfuItLeftOut) {
  std::vector<ValidatedRow> rows{row(10, 9, 8, 11), row(20, 21, 18, 24)};
  for (ValidatedRow& one : rows) {
    one.group = "g";
    one.at_full_mfu = {5};
  }
  rows[0].rival = RivalPrediction{.mfu = 0.25, .step_time = {20}, .low = {20}, .high = {20}};
  rows[1].rival = RivalPrediction{.mfu = 0.5, .step_time = {10}, .low = {10}, .high = {10}};
  const Summary summary = summarize(all_rows(rows));
  EXPECT_DOUBLE_EQ(summary.prediction.ordering.right_share(), 1);
  EXPECT_DOUBLE_EQ(summary.rival.ordering.right_share(), 0.5);
  EXPECT_NEAR(summary.rival.max_abs, 1, 1e-12);
  EXPECT_EQ(summary.rival.memory_n, 0);
}

TEST(ErrorSummary, GroupsAreSortedByName) {
  const std::vector<ValidatedRow> rows = three_rows();
  const auto groups = group_by(rows, "model");
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].first, "a");
  EXPECT_EQ(groups[0].second.size(), 1u);
  EXPECT_EQ(groups[1].second.size(), 2u);
  EXPECT_EQ(group_by(rows, "framework")[0].first, "(not stated)");
}

TEST(ErrorSummary, NothingPredictedIsNoError) {
  ValidatedRow refused;
  refused.refused = "why";
  const Summary summary = summarize({&refused});
  EXPECT_EQ(summary.prediction.n, 0);
  EXPECT_EQ(summary.prediction.refused, 1);
  EXPECT_EQ(summary.rival.refused, 1);
}

}  // namespace
}  // namespace calibration
