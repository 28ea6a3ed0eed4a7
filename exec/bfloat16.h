#pragma once

#include <bit>
#include <cstdint>

namespace exec {

/// A brain floating-point number: the upper half of a float. It is stored only; arithmetic is in float.
struct BFloat16 {
  std::uint16_t bits = 0;
};

constexpr float to_float(BFloat16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16U); }

/// Rounded to the nearest, ties to even; a NaN stays one. No branches, so that loops vectorise.
constexpr BFloat16 to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U;
  const std::uint32_t quiet_nan = (bits >> 16U) | 0x40U;  // rounding could carry a NaN's bits away
  return {static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? quiet_nan : rounded)};
}

}  // namespace exec
