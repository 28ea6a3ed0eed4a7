#include <algorithm>

#include "exec/cpu/gemm.h"
#include "exec/cpu/op_run.h"

namespace exec::cpu {
namespace {

template <typename T>
void zero_columns(Matrix<T> x, std::int64_t first) {
  for (std::int64_t i = 0; i < x.rows; ++i) std::fill(x.row(i) + first, x.row(i) + x.columns, T{0});
}

}  // namespace

template <typename T>
void run_gemm(const OpCall& call, const models::Gemm& work) {
  const auto scale = static_cast<T>(work.scale);
  switch (work.role) {
    case models::GemmRole::forward: {
      const Matrix<T> x = matrix<T>(call.reads[0]), w = matrix<T>(call.reads[1]), y = matrix<T>(call.writes[0]);
      const Matrix<T> part = y.columns_from(work.first, work.n);
      gemm<T>(x.columns_from(0, work.k), false, w.rows_from(work.first, work.n), true, 0, part, scale);
      const bool biased = call.reads.size() > 2 && (!work.row_parallel || call.facts->tp_index == 0);
      if (biased) add_bias<T>(part, matrix<T>(call.reads[2]).data + work.first);
      return;
    }
    case models::GemmRole::input_grad: {
      const Matrix<T> dy = matrix<T>(call.reads[0]), w = matrix<T>(call.reads[1]), dx = matrix<T>(call.writes[0]);
      gemm<T>(dy.columns_from(work.first, work.k), false, w.rows_from(work.first, work.k), false, 0,
              dx.columns_from(0, work.n), scale);
      zero_columns(dx, work.n);
      return;
    }
    case models::GemmRole::weight_grad: {
      const Matrix<T> x = matrix<T>(call.reads[0]), dy = matrix<T>(call.reads[1]), dw = matrix<T>(call.writes[0]);
      const Matrix<T> part = dy.columns_from(work.first, work.m);
      gemm<T>(part, true, x.columns_from(0, work.n), false, 1, dw.rows_from(work.first, work.m), scale);
      if (call.writes.size() > 1) bias_gradient<T>(part, matrix<T>(call.writes[1]).data + work.first);
      return;
    }
  }
}

template void run_gemm<float>(const OpCall&, const models::Gemm&);
template void run_gemm<double>(const OpCall&, const models::Gemm&);

}  // namespace exec::cpu
