#pragma once

#include <algorithm>
#include <cstddef>

namespace exec {

/// Elements [begin, begin + count) of an array.
struct Range {
  std::size_t begin = 0, count = 0;
};

/// Part `index` of `parts` nearly equal ones.
constexpr Range part_of(Range whole, std::size_t parts, std::size_t index) {
  const std::size_t begin = whole.count * index / parts, end = whole.count * (index + 1) / parts;
  return {whole.begin + begin, end - begin};
}

/// An array cut into a chunk for each rank, and each chunk into the same number of segments, so that sums of one
/// segment overlap with the copy of the next.
struct Partition {
  std::size_t count = 0, ranks = 1, segments = 1;

  Partition(std::size_t its_count, int its_ranks, std::size_t segment_elements)
      : count(its_count), ranks(static_cast<std::size_t>(its_ranks)) {
    const std::size_t largest = (count + ranks - 1) / ranks;
    segment_elements = std::max<std::size_t>(segment_elements, 1);
    segments = std::max<std::size_t>((largest + segment_elements - 1) / segment_elements, 1);
  }

  Range chunk(int rank) const { return part_of({0, count}, ranks, static_cast<std::size_t>(rank)); }
  Range segment(int rank, std::size_t index) const { return part_of(chunk(rank), segments, index); }

  /// Elements of the largest segment: parts differ by one at most.
  std::size_t largest_segment() const {
    const std::size_t largest = (count + ranks - 1) / ranks;
    return (largest + segments - 1) / segments;
  }
};

}  // namespace exec
