#pragma once

#include <cstdint>

#include "exec/bfloat16.h"
#include "exec/op_call.h"

namespace exec {

/// Element `index` of a floating-point view, in any of the formats that the executor computes with.
inline double element(const View& view, std::int64_t index) {
  switch (view.dtype) {
    case hw::DType::fp64: return static_cast<const double*>(view.data())[index];
    case hw::DType::bf16: return static_cast<double>(to_float(static_cast<const BFloat16*>(view.data())[index]));
    default: return static_cast<double>(static_cast<const float*>(view.data())[index]);
  }
}

/// Rounded to the view's format.
inline void set_element(const View& view, std::int64_t index, double value) {
  switch (view.dtype) {
    case hw::DType::fp64: static_cast<double*>(view.data())[index] = value; break;
    case hw::DType::bf16: static_cast<BFloat16*>(view.data())[index] = to_bfloat16(static_cast<float>(value)); break;
    default: static_cast<float*>(view.data())[index] = static_cast<float>(value);
  }
}

}  // namespace exec
