#pragma once

#include <cstddef>
#include <span>

#include "exec/communicator.h"
#include "hw/dtype.h"

namespace exec {

/// Bytes of an element that a collective can carry. Throws std::invalid_argument for other formats.
std::size_t element_bytes(hw::DType dtype);

/// The sum or the maximum of some arrays, element by element. bf16 is added in fp32 and rounded to the nearest even
/// after each call. A maximum with a NaN is NaN.
struct Reducer {
  hw::DType dtype = hw::DType::fp32;
  Reduction reduction = Reduction::sum;

  std::size_t bytes() const { return element_bytes(dtype); }

  /// out = a op b; out may be either.
  void pair(void* out, const void* a, const void* b, std::size_t count) const;

  /// out = ((source 0 op source 1) op source 2) ...; bf16 is rounded once, at the end. out may be any source.
  void ordered(void* out, std::span<const void* const> sources, std::size_t count) const;
};

}  // namespace exec
