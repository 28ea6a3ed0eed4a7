#include "exec/cpu/elementwise.h"
#include "exec/cpu/norm.h"
#include "exec/cpu/op_run.h"
#include "exec/cpu/scratch.h"

namespace exec::cpu {

template <typename T>
void run_add_vectors(const OpCall& call, const models::Pointwise& work) {
  const Matrix<T> whole = matrix<T>(work.backward ? call.reads[0] : call.writes[0]);
  const Matrix<T> x = matrix<T>(work.backward ? call.writes[0] : call.reads[0]);
  if (!work.backward) {
    const T* w = matrix<T>(call.reads[1]).data;
    for (std::int64_t i = 0; i < whole.rows; ++i)
      for (std::int64_t j = 0; j < whole.columns; ++j) whole.row(i)[j] = w[j] + x.row(i)[j % x.columns];
    return;
  }
  zero(x);
  T* dw = call.writes.size() > 1 ? matrix<T>(call.writes[1]).data : nullptr;
  for (std::int64_t i = 0; i < whole.rows; ++i) {
    for (std::int64_t j = 0; j < whole.columns; ++j) {
      x.row(i)[j % x.columns] += whole.row(i)[j];
      if (dw != nullptr) dw[j] += whole.row(i)[j];
    }
  }
}

template <typename T>
void run_modulated_norm(const OpCall& call, const models::Pointwise& work) {
  const int x_at = work.backward ? 1 : 0;
  const Matrix<T> x = matrix<T>(call.reads[x_at]), rows = part_of<T>(call.reads[x_at + 1], work.part());
  const Matrix<T> shift = rows.columns_from(0, x.columns), scale = rows.columns_from(x.columns, x.columns);
  const NormGroups groups = whole_row(x.columns);
  const Matrix<T> out = matrix<T>(call.writes[0]);
  if (!work.backward) {
    norm<T>(work.norm, groups, x, nullptr, nullptr, work.epsilon, out);
    return modulate<T>(out, scale, shift, out);
  }
  const Matrix<T> drows = part_of<T>(call.writes[1], work.part());
  zero(drows);
  Scratch<T> normed(x.rows, x.columns), dnormed(x.rows, x.columns);
  norm<T>(work.norm, groups, x, nullptr, nullptr, work.epsilon, normed.view());
  modulate_backward<T>(matrix<T>(call.reads[0]), normed.view(), scale, dnormed.view(),
                       drows.columns_from(x.columns, x.columns), drows.columns_from(0, x.columns));
  norm_backward<T>(work.norm, groups, dnormed.view(), x, nullptr, work.epsilon, out, nullptr, nullptr);
}

template <typename T>
void run_gated_residual(const OpCall& call, const models::Pointwise& work) {
  const int h_at = work.backward ? 1 : 0;
  const Matrix<T> h = matrix<T>(call.reads[h_at]), x = matrix<T>(call.reads[h_at + 1]);
  const Matrix<T> gate = part_of<T>(call.reads[h_at + 2], work.part());
  if (!work.backward) return gated_residual<T>(x, h, gate, matrix<T>(call.writes[0]));
  const Matrix<T> dgate = part_of<T>(call.writes[1], work.part());
  zero(dgate);
  gated_residual_backward<T>(matrix<T>(call.reads[0]), h, gate, matrix<T>(call.writes[0]), dgate);
}

template <typename T>
void run_flow_loss(const OpCall& call, const models::Pointwise& work) {
  const Matrix<T> y = matrix<T>(call.reads[0]), target = matrix<T>(call.reads[1]), out = matrix<T>(call.writes[0]);
  const auto factor = static_cast<T>((work.backward ? 2 * call.loss_factor : 1.0) / static_cast<double>(y.columns));
  for (std::int64_t i = 0; i < y.rows; ++i) {
    T sum = 0;
    for (std::int64_t j = 0; j < y.columns; ++j) {
      const T difference = y.row(i)[j] - target.row(i)[j];
      sum += difference * difference;
      if (work.backward) out.row(i)[j] = factor * difference;
    }
    if (!work.backward) *out.row(i) = factor * sum;
  }
}

#define EXEC_INSTANTIATE(T)                                                     \
  template void run_add_vectors<T>(const OpCall&, const models::Pointwise&);    \
  template void run_modulated_norm<T>(const OpCall&, const models::Pointwise&); \
  template void run_gated_residual<T>(const OpCall&, const models::Pointwise&); \
  template void run_flow_loss<T>(const OpCall&, const models::Pointwise&);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
