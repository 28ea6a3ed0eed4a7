#include "hw/gemm_grid.h"

#include <gtest/gtest.h>

#include "hw/size_ratios.h"

namespace {

/// A ratio that is linear in the octave's fraction of each dimension: row octave, column octave and depth octave added.
hw::GemmGrid sum_of_octaves() {
  hw::GemmGrid grid;
  std::size_t next = 0;
  for (int m = 0; m < hw::GemmGrid::kRows; ++m)
    for (int n = 0; n < hw::GemmGrid::kColumns; ++n)
      for (int k = 0; k < hw::GemmGrid::kDepth; ++k) grid.ratio[next++] = static_cast<float>(1 + m + n + k);
  return grid;
}

// By hand: 256, 512, 1024 are octaves 0, 1, 2; 768 lies halfway from 1 to 2.
TEST(GemmGrid, LinearBetweenOctaves) {
  const hw::GemmGrid grid = sum_of_octaves();
  EXPECT_DOUBLE_EQ(grid.at(256, 256, 256), 1);
  EXPECT_DOUBLE_EQ(grid.at(512, 1024, 256), 4);
  EXPECT_DOUBLE_EQ(grid.at(768, 256, 256), 2.5);
  EXPECT_DOUBLE_EQ(grid.at(256, 768, 768), 4);
}

TEST(GemmGrid, TheBoundaryHoldsBeyond) {
  const hw::GemmGrid grid = sum_of_octaves();
  EXPECT_DOUBLE_EQ(grid.at(1, 7, 255), 1);
  EXPECT_DOUBLE_EQ(grid.at(1'000'000, 1 << 20, 1 << 30), 1 + 7 + 8 + 8);
  EXPECT_TRUE(hw::GemmGrid::covers(256, 65536, 65536));
  EXPECT_FALSE(hw::GemmGrid::covers(255, 256, 256));
  EXPECT_FALSE(hw::GemmGrid::covers(32769, 256, 256));
}

// By hand: sizes 100, 200, 400 with ratios 1, 2, 4; 150 and 300 lie halfway.
TEST(SizeRatios, LinearBetweenDoublings) {
  hw::SizeRatios ratios{.first = {100}, .count = 3};
  ratios.ratio[0] = 1;
  ratios.ratio[1] = 2;
  ratios.ratio[2] = 4;
  EXPECT_DOUBLE_EQ(ratios.at({150}), 1.5);
  EXPECT_DOUBLE_EQ(ratios.at({300}), 3);
  EXPECT_DOUBLE_EQ(ratios.at({1}), 1);
  EXPECT_DOUBLE_EQ(ratios.at({1e15}), 4);
  EXPECT_DOUBLE_EQ(hw::SizeRatios{}.at({5}), 1);
}

}  // namespace
