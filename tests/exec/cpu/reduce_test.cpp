#include "exec/cpu/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace exec {
namespace {

using Bits = std::vector<std::uint16_t>;

Bits sum(const std::vector<Bits>& sources) {
  std::vector<const void*> pointers;
  pointers.reserve(sources.size());
  for (const Bits& source : sources) pointers.push_back(source.data());
  Bits out(sources[0].size());
  Reducer{hw::DType::bf16, Reduction::sum}.ordered(out.data(), pointers, out.size());
  return out;
}

// bf16 has 8 significant bits: from 256 on it holds even numbers only, 257 lies halfway between 256 and 258, and 259
// between 258 and 260. 0x4380 is 256, 0x4381 is 258, 0x4382 is 260; 0x3f80 is 1, 0x4040 is 3.
TEST(Bf16Sum, RoundsToTheNearestEven) {
  EXPECT_EQ(sum({{0x4380}, {0x3f80}}), Bits{0x4380});
  EXPECT_EQ(sum({{0x4380}, {0x4040}}), Bits{0x4382});
}

// 256 + 1 + 1: rounded after each addition it would stay 256.
TEST(Bf16Sum, RoundsOnceAfterAllSources) { EXPECT_EQ(sum({{0x4380}, {0x3f80}, {0x3f80}}), Bits{0x4381}); }

TEST(Bf16Sum, KeepsNotANumberAndInfinity) {
  EXPECT_EQ(sum({{0x7fff}, {0x3f80}}), Bits{0x7fff});
  EXPECT_EQ(sum({{0x7f80}, {0x3f80}}), Bits{0x7f80});
  EXPECT_EQ(sum({{0x7f7f}, {0x7f7f}}), Bits{0x7f80});  // overflows
}

TEST(Maximum, WithNotANumberIsNotANumberOnEitherSide) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float a[] = {nan, 1, 2}, b[] = {1, nan, 3};
  float out[3];
  Reducer{hw::DType::fp32, Reduction::max}.pair(out, a, b, 3);
  EXPECT_TRUE(std::isnan(out[0]) && std::isnan(out[1]));
  EXPECT_EQ(out[2], 3);
}

TEST(IntegerSum, WrapsAround) {
  const std::int32_t a = std::numeric_limits<std::int32_t>::max(), one = 1;
  std::int32_t out = 0;
  Reducer{hw::DType::int32, Reduction::sum}.pair(&out, &a, &one, 1);
  EXPECT_EQ(out, std::numeric_limits<std::int32_t>::min());
}

}  // namespace
}  // namespace exec
