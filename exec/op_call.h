#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "exec/allocator.h"
#include "exec/communicator.h"
#include "exec/expert_routing.h"
#include "exec/stream.h"
#include "hw/dtype.h"
#include "models/inline_vector.h"
#include "models/step_program.h"

namespace exec {

/// Device memory with several users: given back when the last of them, an op under way included, lets go.
using Buffer = std::shared_ptr<Memory>;

/// A contiguous matrix in device memory.
struct View {
  Buffer buffer;
  std::int64_t offset = 0;  ///< elements from the buffer's start
  std::int64_t rows = 0, columns = 0;
  hw::DType dtype = hw::DType::fp32;
  Event written = {};  ///< when its contents are there

  std::int64_t elements() const { return rows * columns; }
  void* data() const {
    return buffer ? buffer->data() + offset * static_cast<std::int64_t>(hw::bytes_per_element(dtype)) : nullptr;
  }
};

/// What all ops of one rank have in common: its places in the groups, and the positions of its tokens.
struct RankFacts {
  int tp = 1, tp_index = 0;
  int cp = 1, cp_index = 0;
  int etp_index = 0;
  std::int64_t batch = 1;       ///< sequences of a microbatch
  std::int64_t vocabulary = 0;  ///< without padding
  /// By cp rank: positions in the sequence of the tokens that it holds, the same for all sequences.
  std::vector<std::vector<std::int32_t>> positions = {};
  double loss_factor = 1;  ///< 1 / tokens of the global batch

  /// Position of the token in row `row` of `rows`, which are all of this rank's or a TP rank's share of them.
  std::int32_t position_of_row(std::int64_t row, std::int64_t rows) const {
    const auto length = static_cast<std::int64_t>(mine().size());
    const std::int64_t first = rows < batch * length ? rows * tp_index : 0;
    return mine()[static_cast<std::size_t>((first + row) % length)];
  }
  const std::vector<std::int32_t>& mine() const { return positions[static_cast<std::size_t>(cp_index)]; }
};

/// One op of the program with the memory that it works on.
struct OpCall {
  const models::Op* op = nullptr;
  models::InlineVector<View, 10> reads = {}, writes = {};
  Communicator* group = nullptr;  ///< of a collective, exchange or ring step
  const RankFacts* facts = nullptr;
  std::shared_ptr<ExpertRouting> routing = {};  ///< of the block's experts
  double loss_factor = 0;                       ///< of a loss: its weight in the total, over the tokens of the batch
  std::uint16_t added_to = 0;                   ///< bit i: the op adds to writes[i], a parameter's gradient

  bool adds_to(int write) const { return (added_to >> write & 1) != 0; }
};

}  // namespace exec
