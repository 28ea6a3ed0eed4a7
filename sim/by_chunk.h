#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "models/step_program.h"

namespace sim {

/// A value for each chunk of a program. Equal chunks, those with the same blocks whatever their stage and layers, share
/// one entry.
template <typename T>
struct ByChunk {
  std::vector<T> distinct;
  std::vector<int> index;  ///< by chunk

  const T& of(int chunk) const { return distinct[static_cast<std::size_t>(index[static_cast<std::size_t>(chunk)])]; }
};

/// Calls `value_of(chunk)` once for equal chunks.
template <typename ValueOf>
auto by_chunk(const models::StepProgram& program, const ValueOf& value_of) {
  const auto equal = [](const models::BlockRun& a, const models::BlockRun& b) {
    return a.block == b.block && a.count == b.count;
  };
  ByChunk<decltype(value_of(program.chunks.front()))> values;
  values.index.reserve(program.chunks.size());
  std::vector<std::size_t> first;  // chunk that each distinct one was made of
  for (std::size_t i = 0; i < program.chunks.size(); ++i) {
    const auto& blocks = program.chunks[i].blocks;
    std::size_t known = 0;
    while (known < first.size() && !std::ranges::equal(blocks, program.chunks[first[known]].blocks, equal)) ++known;
    if (known == first.size()) {
      first.push_back(i);
      values.distinct.push_back(value_of(program.chunks[i]));
    }
    values.index.push_back(static_cast<int>(known));
  }
  return values;
}

}  // namespace sim
