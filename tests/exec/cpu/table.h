// Matrices that own their memory, and random ones: rows are `stride` apart with unused elements between them, as in the
// views that the kernels are given.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "exec/cpu/matrix.h"

namespace exec::cpu {

template <typename T>
class Table {
 public:
  Table(std::int64_t rows, std::int64_t columns)
      : rows_(rows), columns_(columns), elements_(static_cast<std::size_t>(rows * (columns + kGap)), T{kUntouched}) {
    fill(T{});
  }
  template <typename U>
  explicit Table(const Table<U>& other) : Table(other.rows(), other.columns()) {
    for (std::int64_t i = 0; i < rows_; ++i)
      for (std::int64_t j = 0; j < columns_; ++j) at(i, j) = static_cast<T>(other.at(i, j));
  }

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  T& at(std::int64_t i, std::int64_t j) { return elements_[static_cast<std::size_t>(i * (columns_ + kGap) + j)]; }
  const T& at(std::int64_t i, std::int64_t j) const {
    return elements_[static_cast<std::size_t>(i * (columns_ + kGap) + j)];
  }
  Matrix<T> view() { return {elements_.data(), rows_, columns_, columns_ + kGap}; }
  Matrix<const T> view() const { return {elements_.data(), rows_, columns_, columns_ + kGap}; }
  T* row(std::int64_t i) { return view().row(i); }
  const T* row(std::int64_t i) const { return view().row(i); }
  void fill(T value) {
    for (std::int64_t i = 0; i < rows_; ++i)
      for (std::int64_t j = 0; j < columns_; ++j) at(i, j) = value;
  }
  /// Nothing was written between the rows.
  bool gaps_untouched() const {
    for (std::int64_t i = 0; i < rows_; ++i)
      for (int gap = 0; gap < kGap; ++gap)
        if (at(i, columns_ + gap) != T{kUntouched}) return false;
    return true;
  }

 private:
  static constexpr int kGap = 3, kUntouched = 77;
  std::int64_t rows_, columns_;
  std::vector<T> elements_;
};

class Random {
 public:
  explicit Random(int seed) : engine_(static_cast<unsigned>(seed)) {}
  std::int64_t integer(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>{least, most}(engine_);
  }
  bool coin() { return integer(0, 1) == 1; }
  double number(double least, double most) { return std::uniform_real_distribution<double>{least, most}(engine_); }
  Table<double> table(std::int64_t rows, std::int64_t columns, double bound = 1) {
    Table<double> table(rows, columns);
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j) table.at(i, j) = number(-bound, bound);
    return table;
  }

 private:
  std::mt19937 engine_;
};

/// A loss of y whose gradient with respect to y is `weights`.
inline double weighted_sum(const Table<double>& y, const Table<double>& weights) {
  double sum = 0;
  for (std::int64_t i = 0; i < y.rows(); ++i)
    for (std::int64_t j = 0; j < y.columns(); ++j) sum += y.at(i, j) * weights.at(i, j);
  return sum;
}

inline double largest(const Table<double>& table) {
  double most = 0;
  for (std::int64_t i = 0; i < table.rows(); ++i)
    for (std::int64_t j = 0; j < table.columns(); ++j) most = std::max(most, std::abs(table.at(i, j)));
  return most;
}

/// Fails the test unless every element is within tolerance * (1 + largest of `expected`) and nothing was written
/// between the rows. T: float or double.
template <typename T>
void expect_close(const Table<T>& actual, const Table<double>& expected, double tolerance, const char* name);

/// Fails the test unless `gradient` holds the derivatives of `loss` with respect to the elements of `input`, by central
/// differences: an error of 1e-6 relative to the largest derivative. `loss` reads `input` where it lies.
void expect_gradient(const std::function<double()>& loss, Table<double>& input, const Table<double>& gradient,
                     const char* name);

}  // namespace exec::cpu
