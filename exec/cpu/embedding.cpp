#include "exec/cpu/embedding.h"

#include <algorithm>
#include <cassert>

#include "exec/bfloat16.h"
#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

template <typename T>
EXEC_VECTORIZED void add_row(std::int64_t columns, const T* from, T* to) {
  for (std::int64_t j = 0; j < columns; ++j) to[j] += from[j];
}

}  // namespace

template <typename T>
void embed(const std::int64_t* ids, ConstMatrix<T> table, std::int64_t first_row, Matrix<T> out) {
  assert(table.columns == out.columns);
  for (std::int64_t i = 0; i < out.rows; ++i) {
    const std::int64_t row = ids[i] - first_row;
    if (row >= 0 && row < table.rows) std::copy_n(table.row(row), out.columns, out.row(i));
    else std::fill_n(out.row(i), out.columns, T{0});
  }
}

template <typename T>
void embed_backward(const std::int64_t* ids, ConstMatrix<T> dy, std::int64_t first_row, Matrix<T> dtable) {
  assert(dtable.columns == dy.columns);
  for (std::int64_t i = 0; i < dy.rows; ++i) {
    const std::int64_t row = ids[i] - first_row;
    if (row >= 0 && row < dtable.rows) add_row<T>(dy.columns, dy.row(i), dtable.row(row));
  }
}

#define EXEC_INSTANTIATE(T)                                                              \
  template void embed<T>(const std::int64_t*, Matrix<const T>, std::int64_t, Matrix<T>); \
  template void embed_backward<T>(const std::int64_t*, Matrix<const T>, std::int64_t, Matrix<T>);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)
template void embed<BFloat16>(const std::int64_t*, Matrix<const BFloat16>, std::int64_t, Matrix<BFloat16>);

}  // namespace exec::cpu
