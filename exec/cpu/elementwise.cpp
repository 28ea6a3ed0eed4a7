#include "exec/cpu/elementwise.h"

#include <cassert>

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

/// to[j] = f(j) for all columns.
template <typename T, typename F>
EXEC_INLINE void fill_row(std::int64_t columns, T* to, F f) {
  for (std::int64_t j = 0; j < columns; ++j) to[j] = f(j);
}

}  // namespace

template <typename T>
EXEC_VECTORIZED void add(ConstMatrix<T> a, ConstMatrix<T> b, Matrix<T> y) {
  assert(a.rows == y.rows && b.rows == y.rows && a.columns == y.columns && b.columns == y.columns);
  for (std::int64_t i = 0; i < y.rows; ++i) {
    const T *left = a.row(i), *right = b.row(i);
    fill_row(y.columns, y.row(i), [&](std::int64_t j) { return left[j] + right[j]; });
  }
}

template <typename T>
void add_to(Matrix<T> y, ConstMatrix<T> x) {
  add<T>(y, x, y);
}

template <typename T>
EXEC_VECTORIZED void modulate(ConstMatrix<T> x, ConstMatrix<T> scale, ConstMatrix<T> shift, Matrix<T> y) {
  assert(x.rows % scale.rows == 0 && x.rows == y.rows);
  const std::int64_t length = x.rows / scale.rows;
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const T *from = x.row(i), *factor = scale.row(i / length), *offset = shift.row(i / length);
    fill_row(x.columns, y.row(i), [&](std::int64_t j) { return from[j] * (T{1} + factor[j]) + offset[j]; });
  }
}

template <typename T>
EXEC_VECTORIZED void modulate_backward(ConstMatrix<T> dy, ConstMatrix<T> x, ConstMatrix<T> scale, Matrix<T> dx,
                                       Matrix<T> dscale, Matrix<T> dshift) {
  assert(x.rows % scale.rows == 0 && x.rows == dy.rows);
  const std::int64_t length = x.rows / scale.rows;
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const T *gradient = dy.row(i), *from = x.row(i), *factor = scale.row(i / length);
    T *to_scale = dscale.row(i / length), *to_shift = dshift.row(i / length);
    fill_row(x.columns, to_scale, [&](std::int64_t j) { return to_scale[j] + gradient[j] * from[j]; });
    fill_row(x.columns, to_shift, [&](std::int64_t j) { return to_shift[j] + gradient[j]; });
    fill_row(x.columns, dx.row(i), [&](std::int64_t j) { return gradient[j] * (T{1} + factor[j]); });
  }
}

template <typename T>
EXEC_VECTORIZED void gated_residual(ConstMatrix<T> x, ConstMatrix<T> h, ConstMatrix<T> gate, Matrix<T> y) {
  assert(x.rows % gate.rows == 0 && x.rows == h.rows && x.rows == y.rows);
  const std::int64_t length = x.rows / gate.rows;
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const T *residual = x.row(i), *branch = h.row(i), *factor = gate.row(i / length);
    fill_row(x.columns, y.row(i), [&](std::int64_t j) { return residual[j] + factor[j] * branch[j]; });
  }
}

template <typename T>
EXEC_VECTORIZED void gated_residual_backward(ConstMatrix<T> dy, ConstMatrix<T> h, ConstMatrix<T> gate, Matrix<T> dh,
                                             Matrix<T> dgate) {
  assert(dy.rows % gate.rows == 0 && dy.rows == h.rows);
  const std::int64_t length = dy.rows / gate.rows;
  for (std::int64_t i = 0; i < dy.rows; ++i) {
    const T *gradient = dy.row(i), *branch = h.row(i), *factor = gate.row(i / length);
    T* to_gate = dgate.row(i / length);
    fill_row(dy.columns, to_gate, [&](std::int64_t j) { return to_gate[j] + gradient[j] * branch[j]; });
    fill_row(dy.columns, dh.row(i), [&](std::int64_t j) { return gradient[j] * factor[j]; });
  }
}

template <typename T>
EXEC_VECTORIZED void sigmoid_gate(ConstMatrix<T> x, ConstMatrix<T> gate, Matrix<T> y) {
  assert(x.rows == gate.rows && x.rows == y.rows && x.columns == gate.columns);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const T *from = x.row(i), *g = gate.row(i);
    fill_row(x.columns, y.row(i), [&](std::int64_t j) { return from[j] * sigmoid(g[j]); });
  }
}

template <typename T>
EXEC_VECTORIZED void sigmoid_gate_backward(ConstMatrix<T> dy, ConstMatrix<T> x, ConstMatrix<T> gate, Matrix<T> dx,
                                           Matrix<T> dgate) {
  assert(x.rows == gate.rows && x.rows == dy.rows && x.columns == gate.columns);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const T *gradient = dy.row(i), *from = x.row(i), *g = gate.row(i);
    T *to = dx.row(i), *to_gate = dgate.row(i);
    for (std::int64_t j = 0; j < x.columns; ++j) {
      const T s = sigmoid(g[j]), incoming = gradient[j];
      to_gate[j] = incoming * from[j] * s * (T{1} - s);
      to[j] = incoming * s;
    }
  }
}

#define EXEC_INSTANTIATE(T)                                                                                          \
  template void add<T>(Matrix<const T>, Matrix<const T>, Matrix<T>);                                                 \
  template void add_to<T>(Matrix<T>, Matrix<const T>);                                                               \
  template void modulate<T>(Matrix<const T>, Matrix<const T>, Matrix<const T>, Matrix<T>);                           \
  template void modulate_backward<T>(Matrix<const T>, Matrix<const T>, Matrix<const T>, Matrix<T>, Matrix<T>,        \
                                     Matrix<T>);                                                                     \
  template void gated_residual<T>(Matrix<const T>, Matrix<const T>, Matrix<const T>, Matrix<T>);                     \
  template void gated_residual_backward<T>(Matrix<const T>, Matrix<const T>, Matrix<const T>, Matrix<T>, Matrix<T>); \
  template void sigmoid_gate<T>(Matrix<const T>, Matrix<const T>, Matrix<T>);                                        \
  template void sigmoid_gate_backward<T>(Matrix<const T>, Matrix<const T>, Matrix<const T>, Matrix<T>, Matrix<T>);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
