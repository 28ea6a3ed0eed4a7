#include "exec/cpu/cross_entropy.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

constexpr int kMaximum = static_cast<int>(CrossEntropyColumn::maximum);
constexpr int kSum = static_cast<int>(CrossEntropyColumn::sum);
constexpr int kTarget = static_cast<int>(CrossEntropyColumn::target);

template <typename T>
EXEC_VECTORIZED T greatest(std::int64_t n, const T* x) {
  return lane_max<T>(n, [&](std::int64_t j) { return x[j]; });
}

template <typename T>
EXEC_VECTORIZED T sum_of_exponentials(std::int64_t n, const T* x, T maximum) {
  return lane_sum<T>(n, [&](std::int64_t j) { return exponential(x[j] - maximum); });
}

template <typename T>
EXEC_VECTORIZED void exponentials(std::int64_t n, const T* x, T maximum, T factor, T* y) {
  for (std::int64_t j = 0; j < n; ++j) y[j] = factor * exponential(x[j] - maximum);
}

template <typename T>
EXEC_VECTORIZED void scaled(std::int64_t n, T factor, const T* x, T* y) {
  for (std::int64_t j = 0; j < n; ++j) y[j] = factor * x[j];
}

}  // namespace

template <typename T>
void cross_entropy_statistics(ConstMatrix<T> logits, const std::int64_t* labels, std::int64_t first, std::int64_t valid,
                              Matrix<T> statistics) {
  assert(valid >= 0 && valid <= logits.columns && statistics.columns == 3 && statistics.rows == logits.rows);
  for (std::int64_t i = 0; i < logits.rows; ++i) {
    const T* row = logits.row(i);
    const T maximum = greatest<T>(valid, row);
    const std::int64_t label = labels[i] < 0 ? -1 : labels[i] - first;
    statistics.row(i)[kMaximum] = maximum;
    statistics.row(i)[kSum] = valid == 0 ? T{0} : sum_of_exponentials<T>(valid, row, maximum);
    statistics.row(i)[kTarget] = label >= 0 && label < valid ? row[label] : -static_cast<T>(HUGE_VAL);
  }
}

template <typename T>
void combine_statistics(ConstMatrix<T> shards, Matrix<T> combined) {
  assert(shards.rows % combined.rows == 0 && shards.columns == 3 && combined.columns == 3);
  for (std::int64_t i = 0; i < combined.rows; ++i) {
    T maximum = -static_cast<T>(HUGE_VAL), target = maximum, sum = 0;
    for (std::int64_t row = i; row < shards.rows; row += combined.rows) {
      maximum = std::max(maximum, shards.row(row)[kMaximum]);
      target = std::max(target, shards.row(row)[kTarget]);
    }
    for (std::int64_t row = i; row < shards.rows; row += combined.rows)
      if (shards.row(row)[kSum] > 0) sum += shards.row(row)[kSum] * std::exp(shards.row(row)[kMaximum] - maximum);
    combined.row(i)[kMaximum] = maximum;
    combined.row(i)[kSum] = sum;
    combined.row(i)[kTarget] = target;
  }
}

template <typename T>
void softmax_of_shard(ConstMatrix<T> logits, ConstMatrix<T> combined, std::int64_t valid, Matrix<T> softmax) {
  assert(valid >= 0 && valid <= logits.columns && softmax.columns == logits.columns);
  for (std::int64_t i = 0; i < logits.rows; ++i) {
    const T* statistics = combined.row(i);
    exponentials<T>(valid, logits.row(i), statistics[kMaximum], T{1} / statistics[kSum], softmax.row(i));
    std::fill_n(softmax.row(i) + valid, softmax.columns - valid, T{0});
  }
}

template <typename T>
double cross_entropy_loss(Matrix<const T> combined, const std::int64_t* labels) {
  double loss = 0;
  for (std::int64_t i = 0; i < combined.rows; ++i) {
    if (labels[i] < 0) continue;
    const T* row = combined.row(i);
    loss += std::log(static_cast<double>(row[kSum])) + static_cast<double>(row[kMaximum]) -
            static_cast<double>(row[kTarget]);
  }
  return loss;
}

template <typename T>
void cross_entropy_gradient(ConstMatrix<T> softmax, const std::int64_t* labels, std::int64_t first,
                            std::type_identity_t<T> factor, Matrix<T> dlogits) {
  assert(softmax.rows == dlogits.rows && softmax.columns == dlogits.columns);
  for (std::int64_t i = 0; i < softmax.rows; ++i) {
    if (labels[i] < 0) {
      std::fill_n(dlogits.row(i), dlogits.columns, T{0});
      continue;
    }
    scaled<T>(softmax.columns, factor, softmax.row(i), dlogits.row(i));
    const std::int64_t label = labels[i] - first;
    if (label >= 0 && label < dlogits.columns) dlogits.row(i)[label] -= factor;
  }
}

#define EXEC_INSTANTIATE(T)                                                                                   \
  template void cross_entropy_statistics<T>(Matrix<const T>, const std::int64_t*, std::int64_t, std::int64_t, \
                                            Matrix<T>);                                                       \
  template void combine_statistics<T>(Matrix<const T>, Matrix<T>);                                            \
  template void softmax_of_shard<T>(Matrix<const T>, Matrix<const T>, std::int64_t, Matrix<T>);               \
  template double cross_entropy_loss<T>(Matrix<const T>, const std::int64_t*);                                \
  template void cross_entropy_gradient<T>(Matrix<const T>, const std::int64_t*, std::int64_t, T, Matrix<T>);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
