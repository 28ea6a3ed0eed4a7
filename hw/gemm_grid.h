#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace hw {

/// Measured over fitted time of GEMMs at whole octaves of m, n and k: m from 2^8 to 2^15, n and k from 2^8 to 2^16.
/// Between them linear in each dimension; beyond them the boundary's value holds.
struct GemmGrid {
  static constexpr int kFirstOctave = 8;
  static constexpr int kRows = 8, kColumns = 9, kDepth = 9;  ///< octaves of m, n, k
  static constexpr std::size_t kPoints = std::size_t{kRows} * kColumns * kDepth;

  std::array<float, kPoints> ratio{};  ///< k innermost, m outermost

  /// A grid point and the share that it has in a shape; the shares of a shape's eight corners add up to 1.
  struct Corner {
    std::size_t point;
    double share;
  };
  static constexpr std::array<Corner, 8> corners(std::int64_t m, std::int64_t n, std::int64_t k);

  /// Precondition: m, n, k >= 1.
  constexpr double at(std::int64_t m, std::int64_t n, std::int64_t k) const {
    double sum = 0;
    for (const Corner& corner : corners(m, n, k)) sum += corner.share * static_cast<double>(ratio[corner.point]);
    return sum;
  }
  /// Whether the shape lies within the grid.
  static constexpr bool covers(std::int64_t m, std::int64_t n, std::int64_t k) {
    constexpr std::int64_t kFirst = std::int64_t{1} << kFirstOctave;
    return std::min({m, n, k}) >= kFirst && m <= kFirst << (kRows - 1) && std::max(n, k) <= kFirst << (kDepth - 1);
  }

 private:
  struct Position {
    std::size_t octave;
    double within;  ///< 0 to 1, of the octave
  };
  static constexpr Position position(std::int64_t size, int octaves) {
    const int octave = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(size))) - 1 - kFirstOctave;
    if (octave < 0) return {0, 0};
    if (octave >= octaves - 1) return {static_cast<std::size_t>(octaves - 2), 1};
    const auto floor = static_cast<double>(std::int64_t{1} << (octave + kFirstOctave));
    return {static_cast<std::size_t>(octave), static_cast<double>(size) / floor - 1};
  }
};

constexpr std::array<GemmGrid::Corner, 8> GemmGrid::corners(std::int64_t m, std::int64_t n, std::int64_t k) {
  const Position row = position(m, kRows), column = position(n, kColumns), deep = position(k, kDepth);
  const std::size_t first = (row.octave * kColumns + column.octave) * kDepth + deep.octave;
  constexpr std::size_t kNextRow = std::size_t{kColumns} * kDepth, kNextColumn = kDepth;
  const double m0 = 1 - row.within, m1 = row.within, k0 = 1 - deep.within, k1 = deep.within;
  const double near0 = m0 * (1 - column.within), far0 = m0 * column.within;
  const double near1 = m1 * (1 - column.within), far1 = m1 * column.within;
  return {{{first, near0 * k0},
           {first + 1, near0 * k1},
           {first + kNextColumn, far0 * k0},
           {first + kNextColumn + 1, far0 * k1},
           {first + kNextRow, near1 * k0},
           {first + kNextRow + 1, near1 * k1},
           {first + kNextRow + kNextColumn, far1 * k0},
           {first + kNextRow + kNextColumn + 1, far1 * k1}}};
}

}  // namespace hw
