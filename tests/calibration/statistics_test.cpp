#include "calibration/statistics.h"

#include <gtest/gtest.h>

namespace calibration {
namespace {

// Hyndman & Fan's definition 7 with n = 5: position q * 4 in 10, 20, 30, 40, 50.
TEST(Statistics, PercentilesInterpolateLinearly) {
  const std::vector<double> values{50, 10, 40, 20, 30};
  EXPECT_DOUBLE_EQ(percentile(values, 0), 10);
  EXPECT_DOUBLE_EQ(percentile(values, 0.5), 30);
  EXPECT_DOUBLE_EQ(percentile(values, 0.9), 46);  // position 3.6
  EXPECT_DOUBLE_EQ(percentile(values, 0.1), 14);  // position 0.4
  EXPECT_DOUBLE_EQ(percentile(values, 1), 50);
}

TEST(Statistics, MedianOfAnEvenNumberLiesBetweenTheMiddleTwo) { EXPECT_DOUBLE_EQ(median({4, 1, 3, 2}), 2.5); }

TEST(Statistics, OneValueIsItsOwnMedianMeanAndMaximum) {
  EXPECT_DOUBLE_EQ(percentile({7}, 0.9), 7);
  EXPECT_DOUBLE_EQ(mean({7}), 7);
  EXPECT_DOUBLE_EQ(largest({7}), 7);
}

TEST(Statistics, MeanAndLargest) {
  EXPECT_DOUBLE_EQ(mean({1, 2, 6}), 3);
  EXPECT_DOUBLE_EQ(largest({-1, -3}), -1);
}

}  // namespace
}  // namespace calibration
