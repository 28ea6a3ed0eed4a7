#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "hw/units.h"

namespace hw {

/// Measured over fitted time at sizes that double from `first` on: where a library changes its protocol or algorithm,
/// no smooth curve follows. Between two sizes linear in bytes; beyond them the last one's value holds. None: 1.
struct SizeRatios {
  static constexpr std::size_t kMost = 24;

  Bytes first;
  std::size_t count = 0;
  std::array<float, kMost> ratio{};

  /// A size of the table, and what the next one's share is.
  struct Position {
    std::size_t index;
    double within;
  };
  /// Precondition: count >= 2, first > 0.
  constexpr Position position(Bytes size) const {
    const double steps = size / first;
    const auto whole = static_cast<std::uint64_t>(std::clamp(steps, 1.0, kLargest));
    const auto octave = static_cast<std::size_t>(std::bit_width(whole)) - 1;
    if (steps < 1) return {0, 0};
    if (octave >= count - 1) return {count - 2, 1};
    return {octave, steps / static_cast<double>(std::uint64_t{1} << octave) - 1};
  }
  constexpr double at(Bytes size) const {
    if (count < 2) return 1;
    const auto [index, within] = position(size);
    return (1 - within) * static_cast<double>(ratio[index]) + within * static_cast<double>(ratio[index + 1]);
  }

 private:
  static constexpr double kLargest = 1e18;  ///< fits into 64 bits
};

}  // namespace hw
