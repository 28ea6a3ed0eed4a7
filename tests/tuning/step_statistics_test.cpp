#include "tuning/step_statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tuning {
namespace {

// Of 1, 2, ..., 11 the quantile q is 1 + 10 q.
TEST(StepStatistics, QuantilesByHand) {
  const std::vector<double> steps = {11, 1, 3, 2, 5, 4, 7, 6, 9, 8, 10};
  EXPECT_DOUBLE_EQ(median(steps), 6);
  EXPECT_DOUBLE_EQ(undisturbed(steps), 3.5);
  EXPECT_DOUBLE_EQ(spread(steps), (10.0 - 2.0) / 6.0);
}

// The spread of a normal distribution is 2.563 deviations; a median of n is 1.2533 / sqrt(n) of one.
TEST(StepStatistics, DeviationOfAMedian) {
  const std::vector<double> steps = {11, 1, 3, 2, 5, 4, 7, 6, 9, 8, 10};
  EXPECT_NEAR(median_deviation(steps), 1.2533 * (8.0 / 6.0) / 2.5632 / std::sqrt(11.0), 1e-4);
  EXPECT_DOUBLE_EQ(median_deviation({2, 2, 2}), 0.01);  // no clock is better
}

}  // namespace
}  // namespace tuning
