#include <algorithm>
#include <type_traits>

#include "exec/cpu/gemm.h"
#include "exec/cpu/op_run.h"

namespace exec::cpu {
namespace {

template <typename T>
void zero_columns(Matrix<T> x, std::int64_t first) {
  for (std::int64_t i = 0; i < x.rows; ++i) std::fill(x.row(i) + first, x.row(i) + x.columns, T{0});
}

/// y = x w^T + bias
template <typename T, typename Out>
void forward(const OpCall& call, const models::Gemm& work, Fp32Gemm library) {
  const Matrix<T> x = matrix<T>(call.reads[0]).columns_from(0, work.k);
  const Matrix<T> w = matrix<T>(call.reads[1]).rows_from(work.first, work.n);
  const Matrix<Out> y = part_of<Out>(call.writes[0], {work.first, work.n});
  const bool biased = call.reads.size() > 2 && (!work.row_parallel || call.facts->tp_index == 0);
  const T* bias = biased ? matrix<T>(call.reads[2]).data + work.first : nullptr;
  multiply(library, x, false, w, true, Accumulate::no, y, work.scale, bias);
}

/// dx = dy w
template <typename T, typename Out>
void input_gradient(const OpCall& call, const models::Gemm& work, Fp32Gemm library) {
  const Matrix<T> dy = part_of<T>(call.reads[0], {work.first, work.k});
  const Matrix<T> w = matrix<T>(call.reads[1]).rows_from(work.first, work.k);
  const Matrix<Out> dx = matrix<Out>(call.writes[0]);
  multiply(library, dy, false, w, false, Accumulate::no, dx.columns_from(0, work.n), work.scale);
  zero_columns(dx, work.n);
}

/// dw += dy^T x, dbias += the sum of dy's rows
template <typename T, typename Out>
void weight_gradient(const OpCall& call, const models::Gemm& work, Fp32Gemm library) {
  const Matrix<T> x = matrix<T>(call.reads[0]).columns_from(0, work.n);
  const Matrix<T> dy = part_of<T>(call.reads[1], {work.first, work.m});
  multiply(library, dy, true, x, false, Accumulate::yes, matrix<Out>(call.writes[0]).rows_from(work.first, work.m),
           work.scale);
  if (call.writes.size() < 2) return;
  Out* dbias = matrix<Out>(call.writes[1]).data + work.first;
  if constexpr (std::is_same_v<T, BFloat16>) {
    bias_gradient_bf16<Out>(dy, dbias);
  } else {
    bias_gradient<T>(dy, dbias);
  }
}

template <typename T, typename Out>
void run(const OpCall& call, const models::Gemm& work, Fp32Gemm library) {
  switch (work.role) {
    case models::GemmRole::forward: return forward<T, Out>(call, work, library);
    case models::GemmRole::input_grad: return input_gradient<T, Out>(call, work, library);
    case models::GemmRole::weight_grad: return weight_gradient<T, Out>(call, work, library);
  }
}

}  // namespace

template <typename T>
void run_gemm(const OpCall& call, const models::Gemm& work, Fp32Gemm library) {
  with_output<T>(call, [&]<typename In, typename Out>() { run<In, Out>(call, work, library); });
}

template void run_gemm<BFloat16>(const OpCall&, const models::Gemm&, Fp32Gemm);
template void run_gemm<float>(const OpCall&, const models::Gemm&, Fp32Gemm);
template void run_gemm<double>(const OpCall&, const models::Gemm&, Fp32Gemm);

}  // namespace exec::cpu
