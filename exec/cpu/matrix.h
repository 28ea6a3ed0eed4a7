#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <type_traits>

namespace exec::cpu {

/// Row-major view of memory that somebody else owns; `stride` elements from row to row. T may be const.
template <typename T>
struct Matrix {
  T* data = nullptr;
  std::int64_t rows = 0, columns = 0, stride = 0;

  T* row(std::int64_t i) const { return data + i * stride; }
  Matrix columns_from(std::int64_t first, std::int64_t count) const {
    assert(first >= 0 && count >= 0 && first + count <= columns);
    return {data + first, rows, count, stride};
  }
  Matrix rows_from(std::int64_t first, std::int64_t count) const {
    assert(first >= 0 && count >= 0 && first + count <= rows);
    return {data + first * stride, count, columns, stride};
  }
  // NOLINTNEXTLINE(google-explicit-constructor): as T* turns into const T*.
  operator Matrix<const T>() const requires(!std::is_const_v<T>) { return {data, rows, columns, stride}; }
};

template <typename T>
void zero(Matrix<T> matrix) {
  for (std::int64_t i = 0; i < matrix.rows; ++i) std::fill_n(matrix.row(i), matrix.columns, T{0});
}

/// Parameters from which T is not deduced: a Matrix<float> or a nullptr may be passed, another parameter tells T.
template <typename T>
using ConstMatrix = std::type_identity_t<Matrix<const T>>;
template <typename T>
using ConstPointer = std::type_identity_t<const T*>;
template <typename T>
using Pointer = std::type_identity_t<T*>;

}  // namespace exec::cpu
