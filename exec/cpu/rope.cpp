#include "exec/cpu/rope.h"

#include <algorithm>
#include <cassert>

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

/// One head of one row, pairs (i, i + half).
template <typename T>
EXEC_VECTORIZED void rotate_halves(std::int64_t half, T sign, const T* x, const T* cosine, const T* sine, T* y) {
  for (std::int64_t i = 0; i < half; ++i) {
    const T a = x[i], b = x[half + i], s = sign * sine[i];
    y[i] = a * cosine[i] - b * s;
    y[half + i] = b * cosine[i] + a * s;
  }
}

/// One head of one row, pairs (2i, 2i + 1).
template <typename T>
EXEC_VECTORIZED void rotate_neighbours(std::int64_t half, T sign, const T* x, const T* cosine, const T* sine, T* y) {
  for (std::int64_t i = 0; i < half; ++i) {
    const T a = x[2 * i], b = x[2 * i + 1], s = sign * sine[i];
    y[2 * i] = a * cosine[i] - b * s;
    y[2 * i + 1] = b * cosine[i] + a * s;
  }
}

}  // namespace

template <typename T>
void rotate(const RotaryColumns& columns, Rotation rotation, ConstMatrix<T> x, ConstMatrix<T> cosine,
            ConstMatrix<T> sine, Matrix<T> y) {
  assert(columns.rotary % 2 == 0 && columns.offset + columns.rotary <= columns.head_dim);
  assert(columns.first + columns.heads * columns.head_dim <= x.columns && x.rows == y.rows);
  const std::int64_t half = columns.rotary / 2;
  const T sign = rotation == Rotation::forward ? T{1} : T{-1};
  for (std::int64_t i = 0; i < x.rows; ++i)
    for (std::int64_t head = 0; head < columns.heads; ++head) {
      const T* from = x.row(i) + columns.first + head * columns.head_dim;
      T* to = y.row(i) + columns.first + head * columns.head_dim;
      if (from != to) std::copy_n(from, columns.head_dim, to);
      from += columns.offset;
      to += columns.offset;
      if (columns.interleaved) rotate_neighbours<T>(half, sign, from, cosine.row(i), sine.row(i), to);
      else rotate_halves<T>(half, sign, from, cosine.row(i), sine.row(i), to);
    }
}

template void rotate<float>(const RotaryColumns&, Rotation, Matrix<const float>, Matrix<const float>,
                            Matrix<const float>, Matrix<float>);
template void rotate<double>(const RotaryColumns&, Rotation, Matrix<const double>, Matrix<const double>,
                             Matrix<const double>, Matrix<double>);

}  // namespace exec::cpu
