#include "calibration/rival.h"

#include <gtest/gtest.h>

#include <vector>

namespace calibration {
namespace {

// MFU of the h100 rows: 0.5, 0.4, 0.2. Leaving out the first, the median of 0.4 and 0.2 is 0.3: 5 / 0.3 s.
TEST(Rival, MedianMfuOfTheSystemsOtherRows) {
  const std::vector<RivalInput> rows{
      {"h100", {10}, {5}}, {"h100", {10}, {4}}, {"h100", {10}, {2}}, {"b200", {10}, {9}}};
  const auto predictions = constant_mfu_rival(rows);
  ASSERT_TRUE(predictions[0] && predictions[1] && predictions[2] && predictions[3]);
  EXPECT_NEAR(predictions[0]->mfu, 0.3, 1e-12);
  EXPECT_NEAR(predictions[0]->step_time.value, 5 / 0.3, 1e-9);
  EXPECT_NEAR(predictions[1]->mfu, 0.35, 1e-12);
  EXPECT_NEAR(predictions[2]->mfu, 0.45, 1e-12);
  EXPECT_NEAR(predictions[3]->mfu, 0.4, 1e-12);  // alone on its system: the median of all others
}

// Other MFUs 0.4 and 0.2: percentiles 90 and 10 are 0.38 and 0.22.
TEST(Rival, IntervalIsThatOfTheOtherMfus) {
  const std::vector<RivalInput> rows{{"h100", {10}, {5}}, {"h100", {10}, {4}}, {"h100", {10}, {2}}};
  const auto prediction = constant_mfu_rival(rows)[0];
  ASSERT_TRUE(prediction);
  EXPECT_NEAR(prediction->low.value, 5 / 0.38, 1e-9);
  EXPECT_NEAR(prediction->high.value, 5 / 0.22, 1e-9);
}

TEST(Rival, SaysNothingWithoutFlopsOrOtherRows) {
  EXPECT_FALSE(constant_mfu_rival(std::vector<RivalInput>{{"h100", {10}, {5}}})[0]);
  const auto predictions = constant_mfu_rival(std::vector<RivalInput>{{"h100", {10}, {0}}, {"h100", {10}, {4}}});
  EXPECT_FALSE(predictions[0]);
  EXPECT_FALSE(predictions[1]);  // the only other row has no FLOPs to take an MFU from
}

}  // namespace
}  // namespace calibration
