#include "calibration/layout_correction.h"

#include <gtest/gtest.h>

#include <cmath>

namespace calibration {
namespace {

constexpr double kExact = 1e-4;  ///< deviation of a measurement without noise

CorrectedLayout layout(std::vector<double> parts, int choice) {
  return {.parts = std::move(parts), .choices = {choice}};
}

// All is as predicted but twice as slow: then so is what was not measured.
TEST(LayoutCorrection, ACommonFactorHoldsForAll) {
  const std::vector<CorrectedLayout> layouts = {layout({1, 1}, 0), layout({2, 1}, 1), layout({1, 3}, 2)};
  const std::vector<MeasuredLayout> measured = {{0, {4}, kExact}, {1, {6}, kExact}};
  const auto times = corrected(layouts, measured, 0.05);
  EXPECT_NEAR(times[2].time.value, 8, 0.2);
  EXPECT_LT(times[2].deviation, 0.1);
}

// What was measured is believed as far as it is certain.
TEST(LayoutCorrection, MeasuredTimesStand) {
  const std::vector<CorrectedLayout> layouts = {layout({1, 1}, 0), layout({1, 2}, 1)};
  const auto sure = corrected(layouts, std::vector<MeasuredLayout>{{0, {2}, kExact}, {1, {9}, kExact}}, 0.1);
  EXPECT_NEAR(sure[0].time.value, 2, 0.01);
  EXPECT_NEAR(sure[1].time.value, 9, 0.05);
  EXPECT_LT(sure[1].deviation, 0.001);
  const auto unsure = corrected(layouts, std::vector<MeasuredLayout>{{0, {2}, kExact}, {1, {9}, 2.0}}, 0.1);
  EXPECT_LT(unsure[1].time.value, 4);  // 3 as predicted, a little above it for what was measured
}

// Steps are 1 x the first part + 4 x the second. Three mixtures tell; what is all of one part is foretold nearly.
TEST(LayoutCorrection, PartsHaveFactorsOfTheirOwn) {
  const std::vector<CorrectedLayout> layouts = {layout({9, 1}, 0), layout({5, 5}, 0), layout({1, 9}, 0),
                                                layout({10, 0}, 0), layout({0, 10}, 0)};
  const std::vector<MeasuredLayout> measured = {{0, {13}, kExact}, {1, {25}, kExact}, {2, {37}, kExact}};
  const auto times = corrected(layouts, measured, 0.3);
  EXPECT_GT(times[4].time / times[3].time, 2.5);  // 1 as predicted, 4 in truth; a part of it may be the layouts' own
  EXPECT_LT(times[4].time / times[3].time, 4.0);
}

// Nobody knows more of a layout that is unlike all that were measured.
TEST(LayoutCorrection, WhatIsUnlikeStaysUncertain) {
  const std::vector<CorrectedLayout> layouts = {layout({1, 0}, 0), layout({1, 0}, 0), layout({0, 1}, 1)};
  const auto times = corrected(layouts, std::vector<MeasuredLayout>{{0, {1}, kExact}}, 0.2);
  EXPECT_LT(times[1].deviation, times[2].deviation);
}

}  // namespace
}  // namespace calibration
