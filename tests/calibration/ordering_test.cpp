#include "calibration/ordering.h"

#include <gtest/gtest.h>

#include <vector>

namespace calibration {
namespace {

Contender in(const char* group, double measured, double predicted) { return {group, {measured}, {predicted}}; }

// Measured 10 < 11 < 12, predicted 9, 13, 12: pairs (10,11) and (10,12) right, (11,12) wrong; the first pick is the
// best.
TEST(Ordering, CountsPairsInTheMeasuredOrder) {
  const std::vector<Contender> rows{in("a", 10, 9), in("a", 11, 13), in("a", 12, 12)};
  const Ordering ordering = order_pairs(rows);
  EXPECT_EQ(ordering.pairs, 3);
  EXPECT_DOUBLE_EQ(ordering.right_share(), 2.0 / 3);
  EXPECT_EQ(ordering.groups, 1);
  EXPECT_DOUBLE_EQ(ordering.regret_mean(), 0);
}

// 100 and 101.9 differ by 1.9 %: a tie. 100 and 102 differ by 2 %: a pair.
TEST(Ordering, LessThanTwoPercentIsATie) {
  EXPECT_EQ(order_pairs(std::vector{in("a", 100, 1), in("a", 101.9, 2)}).pairs, 0);
  EXPECT_EQ(order_pairs(std::vector{in("a", 101.9, 2), in("a", 100, 1)}).pairs, 0);
  EXPECT_EQ(order_pairs(std::vector{in("a", 100, 1), in("a", 102, 2)}).pairs, 1);
}

// Group a: predicted fastest took 12, the best 10: regret 0.2. Group b: 5 against 4: 0.25. c has nobody to compete.
TEST(Ordering, RegretIsWhatTheFirstPickLoses) {
  const std::vector<Contender> rows{in("a", 10, 3), in("a", 12, 2), in("b", 5, 1),
                                    in("b", 4, 2),  in("c", 1, 1),  in("a", 30, 9)};
  const Ordering ordering = order_pairs(rows);
  EXPECT_EQ(ordering.groups, 2);
  EXPECT_NEAR(ordering.regret_mean(), 0.225, 1e-12);
  EXPECT_NEAR(ordering.regret_max, 0.25, 1e-12);
  EXPECT_EQ(ordering.pairs, 4);
  EXPECT_DOUBLE_EQ(ordering.right, 2);  // (10, 30) and (12, 30)
}

// Predicted equal: half a pair, and the pick is either one: (0 + 0.5) / 2.
TEST(Ordering, EqualPredictionsCountHalf) {
  const Ordering ordering = order_pairs(std::vector{in("a", 10, 4), in("a", 15, 4)});
  EXPECT_DOUBLE_EQ(ordering.right_share(), 0.5);
  EXPECT_DOUBLE_EQ(ordering.regret_mean(), 0.25);
}

TEST(Ordering, RowsOfDifferentGroupsAreNotCompared) {
  const Ordering ordering = order_pairs(std::vector{in("a", 10, 4), in("b", 15, 3)});
  EXPECT_EQ(ordering.pairs, 0);
  EXPECT_EQ(ordering.groups, 0);
}

}  // namespace
}  // namespace calibration
