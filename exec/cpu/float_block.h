#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "exec/bfloat16.h"
#include "exec/cpu/bfloat16_rows.h"
#include "exec/op_call.h"

namespace exec::cpu {

/// Some elements of a view of fp32 or bf16 as floats: where they lie, or copies of narrow ones.
class FloatBlock {
 public:
  static constexpr std::int64_t kMost = 2048;  ///< elements: copies stay in the first-level cache

  FloatBlock(const View& view, std::int64_t first, std::int64_t count) : count_(count) {
    if (view.dtype == hw::DType::bf16) {
      narrow_ = static_cast<BFloat16*>(view.data()) + first;
      widen(narrow_, count, copy_.data());
    } else {
      wide_ = static_cast<float*>(view.data()) + first;
    }
  }

  std::span<float> values() { return {narrow_ != nullptr ? copy_.data() : wide_, static_cast<std::size_t>(count_)}; }
  /// Rounds changed values back.
  void store() const {
    if (narrow_ != nullptr) narrow(copy_.data(), count_, narrow_);
  }

 private:
  std::int64_t count_;
  float* wide_ = nullptr;
  BFloat16* narrow_ = nullptr;
  alignas(64) std::array<float, kMost> copy_;
};

/// body(first, count) for blocks of so many elements.
template <typename Body>
void for_blocks(std::int64_t elements, Body body) {
  for (std::int64_t first = 0; first < elements; first += FloatBlock::kMost)
    body(first, std::min(FloatBlock::kMost, elements - first));
}

}  // namespace exec::cpu
