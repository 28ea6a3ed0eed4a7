#pragma once

#include <string_view>

namespace hw {

/// Number formats of operands. `fp32` means TF32 tensor cores where the GPU has them.
enum class DType { fp64, fp32, bf16, fp16, fp8, fp8_block, mxfp8, nvfp4, int32, int64, boolean };
inline constexpr int kDTypes = 11;

/// Bytes that one element occupies, block scales included:
/// mxfp8 has an 8-bit scale per 32 elements (OCP MX 1.0), nvfp4 an 8-bit scale per 16, fp8_block fp32 per 128.
constexpr double bytes_per_element(DType type) {
  switch (type) {
    case DType::fp64:
    case DType::int64: return 8;
    case DType::fp32:
    case DType::int32: return 4;
    case DType::bf16:
    case DType::fp16: return 2;
    case DType::fp8:
    case DType::boolean: return 1;
    case DType::fp8_block: return 1 + 4.0 / 128;
    case DType::mxfp8: return 1 + 1.0 / 32;
    case DType::nvfp4: return 0.5 + 1.0 / 16;
  }
  return 0;
}

constexpr std::string_view name(DType type) {
  constexpr std::string_view kNames[kDTypes] = {"fp64",  "fp32",  "bf16",  "fp16",  "fp8",    "fp8-block",
                                                "mxfp8", "nvfp4", "int32", "int64", "boolean"};
  return kNames[static_cast<int>(type)];
}

}  // namespace hw
