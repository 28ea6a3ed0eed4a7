#pragma once

#include <cstdint>
#include <vector>

namespace exec {

/// Positions of a sequence of `length` that cp rank `index` of `cp` holds: one piece from the front and its mirror
/// from the back, so that causal attention is the same work everywhere (Megatron-LM and ring attention's zigzag).
/// `length` is a multiple of 2 cp, or of cp where that is odd (then pieces are contiguous).
inline std::vector<std::int32_t> sequence_shard(std::int64_t length, int cp, int index) {
  std::vector<std::int32_t> positions;
  const auto add = [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) positions.push_back(static_cast<std::int32_t>(first + i));
  };
  if (cp == 1 || length % (2 * cp) != 0) {
    add(length / cp * index, length / cp);
    return positions;
  }
  const std::int64_t piece = length / (2 * cp);
  add(piece * index, piece);
  add(piece * (2 * cp - 1 - index), piece);
  return positions;
}

}  // namespace exec
