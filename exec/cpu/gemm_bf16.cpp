#include <cassert>
#include <type_traits>
#include <vector>

#include "exec/cpu/bfloat16_rows.h"
#include "exec/cpu/gemm.h"
#include "exec/cpu/onednn_matmul.h"
#include "exec/cpu/scratch.h"

namespace exec::cpu {

namespace {

void widen_all(Matrix<const BFloat16> from, Matrix<float> to) {
  for (std::int64_t i = 0; i < from.rows; ++i) widen(from.row(i), from.columns, to.row(i));
}

template <typename T, typename Out>
bool empty(Matrix<const T> a, bool transpose_a, Matrix<Out> c) {
  return c.rows == 0 || c.columns == 0 || (transpose_a ? a.rows : a.columns) == 0;
}

template <typename T, typename Out>
void by_onednn(hw::DType input, Matrix<const T> a, bool transpose_a, Matrix<const T> b, bool transpose_b, float beta,
               Matrix<Out> c, float alpha, const T* bias) {
  assert((transpose_a ? a.columns : a.rows) == c.rows);
  assert((transpose_b ? b.rows : b.columns) == c.columns);
  assert((transpose_b ? b.columns : b.rows) == (transpose_a ? a.rows : a.columns));
  onednn_matmul({.m = c.rows,
                 .n = c.columns,
                 .k = transpose_a ? a.rows : a.columns,
                 .input = input,
                 .output = std::is_same_v<Out, float> ? hw::DType::fp32 : hw::DType::bf16,
                 .a = {a.data, a.stride, transpose_a},
                 .b = {b.data, b.stride, transpose_b},
                 .c = c.data,
                 .c_stride = c.stride,
                 .alpha = alpha,
                 .beta = beta,
                 .bias = bias});
}

}  // namespace

template <typename T>
void widened_gemm_bf16(Matrix<const BFloat16> a, bool transpose_a, Matrix<const BFloat16> b, bool transpose_b,
                       float beta, Matrix<T> c, float alpha, const BFloat16* bias) {
  Scratch<float> wide_a(a.rows, a.columns), wide_b(b.rows, b.columns), wide_c(c.rows, c.columns);
  widen_all(a, wide_a.view());
  widen_all(b, wide_b.view());
  Matrix<float> sum = wide_c.view();
  if constexpr (std::is_same_v<T, float>) {
    sum = c;
  } else if (beta != 0) {
    widen_all(c, sum);
  }
  gemm<float>(wide_a.view(), transpose_a, wide_b.view(), transpose_b, beta, sum, alpha);
  if (bias != nullptr) {
    std::vector<float> row(static_cast<std::size_t>(c.columns));
    widen(bias, c.columns, row.data());
    add_bias<float>(sum, row.data());
  }
  if constexpr (std::is_same_v<T, BFloat16>)
    for (std::int64_t i = 0; i < c.rows; ++i) narrow(sum.row(i), c.columns, c.row(i));
}

template <typename T>
void gemm_bf16(Matrix<const BFloat16> a, bool transpose_a, Matrix<const BFloat16> b, bool transpose_b, float beta,
               Matrix<T> c, float alpha, const BFloat16* bias) {
  if (!has_onednn(hw::DType::bf16) || empty(a, transpose_a, c))
    return widened_gemm_bf16<T>(a, transpose_a, b, transpose_b, beta, c, alpha, bias);
  by_onednn(hw::DType::bf16, a, transpose_a, b, transpose_b, beta, c, alpha, bias);
}

void gemm_onednn(Matrix<const float> a, bool transpose_a, Matrix<const float> b, bool transpose_b, float beta,
                 Matrix<float> c, float alpha) {
  if (!has_onednn(hw::DType::fp32) || empty(a, transpose_a, c))
    return gemm<float>(a, transpose_a, b, transpose_b, beta, c, alpha);
  by_onednn<float, float>(hw::DType::fp32, a, transpose_a, b, transpose_b, beta, c, alpha, nullptr);
}

template <typename T>
void bias_gradient_bf16(Matrix<const BFloat16> dy, Pointer<T> db) {
  Scratch<float> wide(dy.rows, dy.columns);
  widen_all(dy, wide.view());
  if constexpr (std::is_same_v<T, float>) {
    bias_gradient<float>(wide.view(), db);
  } else {
    std::vector<float> sum(static_cast<std::size_t>(dy.columns));
    widen(db, dy.columns, sum.data());
    bias_gradient<float>(wide.view(), sum.data());
    narrow(sum.data(), dy.columns, db);
  }
}

#define EXEC_INSTANTIATE(T)                                                                                        \
  template void widened_gemm_bf16<T>(Matrix<const BFloat16>, bool, Matrix<const BFloat16>, bool, float, Matrix<T>, \
                                     float, const BFloat16*);                                                      \
  template void gemm_bf16<T>(Matrix<const BFloat16>, bool, Matrix<const BFloat16>, bool, float, Matrix<T>, float,  \
                             const BFloat16*);                                                                     \
  template void bias_gradient_bf16<T>(Matrix<const BFloat16>, Pointer<T>);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(BFloat16)

}  // namespace exec::cpu
