#include "exec/cpu/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace exec::cpu {
namespace {

constexpr AdamW kAdamW{.learning_rate = 0.1, .beta1 = 0.5, .beta2 = 0.75, .epsilon = 0, .weight_decay = 0.5};

/// Moments start at 0, so after the first step first' = g and second' = g^2: parameter 2 loses
/// 0.1 (0.5 * 2 + sign(g)) = 0.2 or gains nothing.
TEST(AdamW, FirstStepByHand) {
  const std::vector<double> gradient{3, -8};
  std::vector<double> parameter{2, 2}, first(2), second(2);
  adamw_step<double>(kAdamW, 1, 0.5, gradient, parameter, first, second);
  EXPECT_NEAR(parameter[0], 1.8, 1e-15);
  EXPECT_NEAR(parameter[1], 2.0, 1e-15);
  EXPECT_NEAR(first[0], 0.75, 1e-15);     // (1 - 0.5) * 1.5
  EXPECT_NEAR(second[0], 0.5625, 1e-15);  // (1 - 0.75) * 1.5^2
}

/// Second step: gradient 1 after 0: first = 0.5, first' = 0.5/0.75; second = 0.25, second' = 0.25/0.4375.
TEST(AdamW, MomentsAreCorrectedByTheStep) {
  std::vector<double> parameter{0}, first(1), second(1);
  adamw_step<double>(kAdamW, 1, 1, std::vector<double>{0}, parameter, first, second);
  EXPECT_TRUE(std::isnan(parameter[0]));  // 0/0: epsilon is 0 here
  parameter[0] = 0;
  adamw_step<double>(kAdamW, 2, 1, std::vector<double>{1}, parameter, first, second);
  EXPECT_NEAR(parameter[0], -0.1 * (0.5 / 0.75) / std::sqrt(0.25 / 0.4375), 1e-15);
}

TEST(AdamW, FloatFollowsDouble) {
  constexpr std::size_t kCount = 37;
  constexpr AdamW kUsual{.learning_rate = 1e-2, .weight_decay = 0.1};
  std::vector<double> gradient(kCount), parameter(kCount, 1), first(kCount), second(kCount);
  std::vector<float> gradient_float(kCount), parameter_float(kCount, 1), first_float(kCount), second_float(kCount);
  for (int step = 1; step <= 20; ++step) {
    for (std::size_t i = 0; i < kCount; ++i) {
      gradient[i] = std::sin(static_cast<double>(i + 1) * step);
      gradient_float[i] = static_cast<float>(gradient[i]);
    }
    adamw_step<double>(kUsual, step, 0.7, gradient, parameter, first, second);
    adamw_step<float>(kUsual, step, 0.7, gradient_float, parameter_float, first_float, second_float);
  }
  for (std::size_t i = 0; i < kCount; ++i) EXPECT_NEAR(static_cast<double>(parameter_float[i]), parameter[i], 1e-6);
}

TEST(SumOfSquares, OfFloatKeepsItsAccuracyOverManyElements) {
  // 1 + 4 + ... + 4: a plain float sum would stop growing exactly long before.
  std::vector<float> x(5'000'001, 2);
  x[0] = 1;
  EXPECT_NEAR(sum_of_squares<float>(x) / (1 + 4.0 * 5'000'000), 1, 1e-12);
  EXPECT_EQ(sum_of_squares<double>(std::vector<double>{3, 4}), 25);
  EXPECT_EQ(sum_of_squares<double>(std::vector<double>{}), 0);
}

TEST(Scale, MultipliesEachElement) {
  std::vector<float> x{1, -2, 3};
  scale<float>(x, 0.5);
  EXPECT_EQ(x, (std::vector<float>{0.5F, -1, 1.5F}));
}

}  // namespace
}  // namespace exec::cpu
