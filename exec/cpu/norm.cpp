#include "exec/cpu/norm.h"

#include <cassert>
#include <cmath>

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

template <typename T>
struct Statistics {
  T mean, reciprocal;  ///< reciprocal: 1 / sqrt(variance + eps)
};

template <typename T>
EXEC_INLINE Statistics<T> statistics(models::Norm kind, const T* x, std::int64_t width, double eps) {
  const T n = static_cast<T>(width);
  const T mean = kind == models::Norm::layer ? lane_sum<T>(width, [&](std::int64_t j) { return x[j]; }) / n : T{0};
  const T squares = lane_sum<T>(width, [&](std::int64_t j) { return (x[j] - mean) * (x[j] - mean); });
  return {mean, T{1} / std::sqrt(squares / n + static_cast<T>(eps))};
}

/// One group of one row. weight and bias may be null.
template <typename T>
EXEC_VECTORIZED void normalize(models::Norm kind, std::int64_t width, const T* x, const T* weight, const T* bias,
                               double eps, T* y) {
  const auto [mean, reciprocal] = statistics(kind, x, width, eps);
  if (weight != nullptr && bias != nullptr) {
    for (std::int64_t j = 0; j < width; ++j) y[j] = (x[j] - mean) * reciprocal * weight[j] + bias[j];
  } else if (weight != nullptr) {
    for (std::int64_t j = 0; j < width; ++j) y[j] = (x[j] - mean) * reciprocal * weight[j];
  } else {
    for (std::int64_t j = 0; j < width; ++j) y[j] = (x[j] - mean) * reciprocal + (bias == nullptr ? T{0} : bias[j]);
  }
}

/// With n = (x - mean) * reciprocal and g = dy * weight:
/// dx = reciprocal * (g - average(g) - n * average(g n)), without average(g) for rms.
template <typename T>
EXEC_VECTORIZED void normalize_backward(models::Norm kind, std::int64_t width, const T* dy, const T* x, const T* weight,
                                        double eps, T* dx, T* dweight, T* dbias) {
  const auto [mean_, reciprocal_] = statistics(kind, x, width, eps);
  const T mean = mean_, reciprocal = reciprocal_;
  const auto normed = [&](std::int64_t j) { return (x[j] - mean) * reciprocal; };
  const auto scaled = [&](std::int64_t j) { return weight == nullptr ? dy[j] : dy[j] * weight[j]; };
  if (dbias != nullptr)
    for (std::int64_t j = 0; j < width; ++j) dbias[j] += dy[j];
  if (dweight != nullptr)
    for (std::int64_t j = 0; j < width; ++j) dweight[j] += dy[j] * normed(j);
  const T n = static_cast<T>(width);
  const T average = kind == models::Norm::layer ? lane_sum<T>(width, scaled) / n : T{0};
  const T slope = lane_sum<T>(width, [&](std::int64_t j) { return scaled(j) * normed(j); }) / n;
  for (std::int64_t j = 0; j < width; ++j) dx[j] = reciprocal * (scaled(j) - average - normed(j) * slope);
}

/// pointer + offset, null stays null.
template <typename T>
T* shifted(T* pointer, std::int64_t offset) {
  return pointer == nullptr ? nullptr : pointer + offset;
}

}  // namespace

template <typename T>
void norm(models::Norm kind, const NormGroups& groups, ConstMatrix<T> x, ConstPointer<T> weight, ConstPointer<T> bias,
          double eps, Matrix<T> y) {
  assert(x.rows == y.rows && groups.first + groups.groups * groups.width <= x.columns);
  for (std::int64_t i = 0; i < x.rows; ++i)
    for (std::int64_t group = 0; group < groups.groups; ++group) {
      const std::int64_t column = groups.first + group * groups.width;
      const std::int64_t offset = groups.shared_weight ? 0 : group * groups.width;
      normalize<T>(kind, groups.width, x.row(i) + column, shifted(weight, offset), shifted(bias, offset), eps,
                   y.row(i) + column);
    }
}

template <typename T>
void norm_backward(models::Norm kind, const NormGroups& groups, ConstMatrix<T> dy, ConstMatrix<T> x,
                   ConstPointer<T> weight, double eps, Matrix<T> dx, Pointer<T> dweight, Pointer<T> dbias) {
  assert(x.rows == dy.rows && x.rows == dx.rows && groups.first + groups.groups * groups.width <= x.columns);
  for (std::int64_t i = 0; i < x.rows; ++i)
    for (std::int64_t group = 0; group < groups.groups; ++group) {
      const std::int64_t column = groups.first + group * groups.width;
      const std::int64_t offset = groups.shared_weight ? 0 : group * groups.width;
      normalize_backward<T>(kind, groups.width, dy.row(i) + column, x.row(i) + column, shifted(weight, offset), eps,
                            dx.row(i) + column, shifted(dweight, offset), shifted(dbias, offset));
    }
}

#define EXEC_INSTANTIATE(T)                                                                                           \
  template void norm<T>(models::Norm, const NormGroups&, Matrix<const T>, const T*, const T*, double, Matrix<T>);     \
  template void norm_backward<T>(models::Norm, const NormGroups&, Matrix<const T>, Matrix<const T>, const T*, double, \
                                 Matrix<T>, Pointer<T>, Pointer<T>);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
