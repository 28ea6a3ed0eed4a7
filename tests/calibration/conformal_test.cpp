#include "calibration/conformal.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace calibration {
namespace {

/// Rows in `folds` folds whose log errors are normal with the spread of their family.
CrossValidation drawn(const std::string& key, int rows, int folds, double dense, double moe) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  CrossValidation cross{.key = key, .rows = {}, .fold = {}, .folds = folds};
  for (int i = 0; i < rows; ++i) {
    ValidatedRow row;
    row.family = i % 2 == 0 ? "dense" : "moe";
    row.model = "model" + std::to_string(i % 5);
    row.system = "h100";
    row.framework = "megatron";
    row.measured = {1};
    row.predicted = {std::exp(normal(random) * (i % 2 == 0 ? dense : moe))};
    cross.rows.push_back(row);
    cross.fold.push_back(i / 2 % folds);
  }
  return cross;
}

// 80 % of draws from one distribution are covered, whatever their spread: of 2000, 1600 within four deviations (18
// each).
TEST(Conformal, CoversFourOfFive) {
  CrossValidation cross = drawn("layout", 4000, 5, 0.05, 0.2);
  fill_intervals(cross);
  int covered[2] = {};
  for (std::size_t i = 0; i < cross.rows.size(); ++i) covered[i % 2] += cross.rows[i].covered();
  EXPECT_NEAR(covered[0], 1600, 72);
  EXPECT_NEAR(covered[1], 1600, 72);
}

TEST(Conformal, ARowsOwnErrorDoesNotWidenItsInterval) {
  CrossValidation cross = drawn("model", 100, 5, 0.05, 0.2), changed = cross;
  changed.rows[0].predicted = {50};
  fill_intervals(cross);
  fill_intervals(changed);
  EXPECT_NEAR(changed.rows[0].high / changed.rows[0].predicted, cross.rows[0].high / cross.rows[0].predicted, 1e-12);
}

// 80 % of |normal| lie below 1.2816 deviations.
TEST(Conformal, IntervalsOfAProfileReadBack) {
  std::vector<CrossValidation> all;
  for (const char* key : {"layout", "model", "system", "framework"}) all.push_back(drawn(key, 4000, 5, 0.05, 0.2));
  const hw::Intervals intervals = hw::parse_intervals(intervals_node(intervals_of(all), "drawn"));
  EXPECT_NEAR(intervals.layout[0], 1.2816 * 0.05, 0.004);
  EXPECT_NEAR(intervals.framework[1], 1.2816 * 0.2, 0.015);
  // No diffusion transformer was seen: as wide as all rows together.
  EXPECT_GT(intervals.layout[2], intervals.layout[0]);
  EXPECT_EQ(intervals.models.size(), 5u);
  EXPECT_EQ(intervals.systems, std::vector<std::string>{"h100"});
}

}  // namespace
}  // namespace calibration
