#include "exec/cpu/permute.h"

#include <algorithm>
#include <cassert>

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

template <typename T>
EXEC_VECTORIZED void add_scaled(std::int64_t columns, T factor, const T* from, T* to) {
  for (std::int64_t j = 0; j < columns; ++j) to[j] += factor * from[j];
}

template <typename T>
EXEC_VECTORIZED T dot(std::int64_t n, const T* a, const T* b) {
  return lane_sum<T>(n, [&](std::int64_t i) { return a[i] * b[i]; });
}

}  // namespace

template <typename T>
void gather_rows(ConstMatrix<T> x, const std::int32_t* index, Matrix<T> y) {
  assert(x.columns == y.columns);
  for (std::int64_t i = 0; i < y.rows; ++i) {
    assert(index[i] < x.rows);
    if (index[i] >= 0) std::copy_n(x.row(index[i]), y.columns, y.row(i));
    else std::fill_n(y.row(i), y.columns, T{0});
  }
}

template <typename T>
void scatter_add_rows(ConstMatrix<T> dy, const std::int32_t* index, Matrix<T> dx) {
  assert(dx.columns == dy.columns);
  for (std::int64_t i = 0; i < dy.rows; ++i)
    if (index[i] >= 0) add_scaled<T>(dy.columns, T{1}, dy.row(i), dx.row(index[i]));
}

template <typename T>
void weighted_combine(ConstMatrix<T> x, const std::int32_t* position, ConstMatrix<T> weights, Matrix<T> y) {
  assert(weights.rows == y.rows && x.columns == y.columns);
  for (std::int64_t i = 0; i < y.rows; ++i) {
    std::fill_n(y.row(i), y.columns, T{0});
    for (std::int64_t j = 0; j < weights.columns; ++j) {
      const std::int32_t from = position[i * weights.columns + j];
      assert(from < x.rows);
      if (from >= 0) add_scaled<T>(y.columns, weights.row(i)[j], x.row(from), y.row(i));
    }
  }
}

template <typename T>
void weighted_combine_backward(ConstMatrix<T> dy, ConstMatrix<T> x, const std::int32_t* position,
                               ConstMatrix<T> weights, Matrix<T> dx, Matrix<T> dweights) {
  assert(weights.rows == dy.rows && x.rows == dx.rows && x.columns == dx.columns);
  zero(dx);
  for (std::int64_t i = 0; i < dy.rows; ++i)
    for (std::int64_t j = 0; j < weights.columns; ++j) {
      const std::int32_t from = position[i * weights.columns + j];
      dweights.row(i)[j] = from < 0 ? T{0} : dot<T>(dy.columns, dy.row(i), x.row(from));
      if (from >= 0) add_scaled<T>(dy.columns, weights.row(i)[j], dy.row(i), dx.row(from));
    }
}

#define EXEC_INSTANTIATE(T)                                                                                          \
  template void gather_rows<T>(Matrix<const T>, const std::int32_t*, Matrix<T>);                                     \
  template void scatter_add_rows<T>(Matrix<const T>, const std::int32_t*, Matrix<T>);                                \
  template void weighted_combine<T>(Matrix<const T>, const std::int32_t*, Matrix<const T>, Matrix<T>);               \
  template void weighted_combine_backward<T>(Matrix<const T>, Matrix<const T>, const std::int32_t*, Matrix<const T>, \
                                             Matrix<T>, Matrix<T>);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
