#pragma once

#include "hw/dtype.h"

namespace models {

enum class Precision { fp64, fp32, bf16, fp16, fp8_cs, fp8_ds, fp8_blockwise, mxfp8, nvfp4 };

/// Format of activations, weights and gradients between kernels.
constexpr hw::DType storage_type(Precision p) {
  switch (p) {
    case Precision::fp64: return hw::DType::fp64;
    case Precision::fp32: return hw::DType::fp32;
    case Precision::fp16: return hw::DType::fp16;
    default: return hw::DType::bf16;
  }
}

/// Format of the operands of the quantised matmuls.
constexpr hw::DType matmul_type(Precision p) {
  switch (p) {
    case Precision::fp8_cs:
    case Precision::fp8_ds: return hw::DType::fp8;
    case Precision::fp8_blockwise: return hw::DType::fp8_block;
    case Precision::mxfp8: return hw::DType::mxfp8;
    case Precision::nvfp4: return hw::DType::nvfp4;
    default: return storage_type(p);
  }
}

constexpr bool quantised(Precision p) { return matmul_type(p) != storage_type(p); }

}  // namespace models
