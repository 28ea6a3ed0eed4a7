#pragma once

#include <cstdint>

#include "hw/dtype.h"

namespace exec::cpu {

/// A row-major matrix, `stride` elements from row to row; what is multiplied is its transpose if the flag says so.
struct MatmulFactor {
  const void* data = nullptr;
  std::int64_t stride = 0;
  bool transposed = false;
};

/// c = alpha op(a) op(b) + beta c + bias, op(a) [m, k], op(b) [k, n], c [m, n], all sizes > 0. a, b and bias are of
/// `input`, fp32 or bf16; c is of `output`, fp32 or bf16, rounded once from a sum in fp32.
struct Matmul {
  std::int64_t m = 0, n = 0, k = 0;
  hw::DType input = hw::DType::fp32, output = hw::DType::fp32;
  MatmulFactor a, b;
  void* c = nullptr;
  std::int64_t c_stride = 0;
  float alpha = 1, beta = 0;
  const void* bias = nullptr;  ///< [n], or none
};

/// Whether this build has oneDNN, and it multiplies operands of that type on this CPU: bf16 needs AVX-512.
bool has_onednn(hw::DType input);

/// By oneDNN, on the calling thread alone. Only where has_onednn().
void onednn_matmul(const Matmul& matmul);

}  // namespace exec::cpu
