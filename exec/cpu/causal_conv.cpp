#include "exec/cpu/causal_conv.h"

#include <algorithm>
#include <cassert>
#include <vector>

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

/// [channels, kernel] as [kernel][channels], so that loops run along channels.
template <typename T>
std::vector<T> transposed(Matrix<const T> weight) {
  std::vector<T> by_tap(static_cast<std::size_t>(weight.rows * weight.columns));
  for (std::int64_t c = 0; c < weight.rows; ++c)
    for (std::int64_t tap = 0; tap < weight.columns; ++tap)
      by_tap[static_cast<std::size_t>(tap * weight.rows + c)] = weight.row(c)[tap];
  return by_tap;
}

/// to[c] += a[c] b[c]
template <typename T>
EXEC_VECTORIZED void add_products(std::int64_t channels, const T* a, const T* b, T* to) {
  for (std::int64_t c = 0; c < channels; ++c) to[c] += a[c] * b[c];
}

template <typename T>
EXEC_VECTORIZED void silu(std::int64_t channels, T* y) {
  for (std::int64_t c = 0; c < channels; ++c) y[c] *= sigmoid(y[c]);
}

/// x, the sums before silu, become the gradient of these sums.
template <typename T>
EXEC_VECTORIZED void silu_backward(std::int64_t channels, const T* dy, T* x) {
  for (std::int64_t c = 0; c < channels; ++c) {
    const T s = sigmoid(x[c]);
    x[c] = dy[c] * (s + x[c] * s * (T{1} - s));
  }
}

/// The first tap that row `time` of a sequence has: earlier ones lie before the sequence.
std::int64_t first_tap(std::int64_t kernel, std::int64_t time) { return std::max<std::int64_t>(0, kernel - 1 - time); }

/// The sums of row i, before silu, into `sums`.
template <typename T>
void convolve_row(std::int64_t length, std::int64_t kernel, std::int64_t i, Matrix<const T> x,
                  const std::vector<T>& by_tap, const T* bias, T* sums) {
  if (bias == nullptr) std::fill_n(sums, x.columns, T{0});
  else std::copy_n(bias, x.columns, sums);
  for (std::int64_t tap = first_tap(kernel, i % length); tap < kernel; ++tap)
    add_products<T>(x.columns, by_tap.data() + tap * x.columns, x.row(i - (kernel - 1) + tap), sums);
}

}  // namespace

template <typename T>
void causal_conv(std::int64_t length, ConstMatrix<T> x, ConstMatrix<T> weight, ConstPointer<T> bias, Matrix<T> y) {
  assert(x.rows % length == 0 && weight.rows == x.columns && y.rows == x.rows);
  const std::vector<T> by_tap = transposed(weight);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    convolve_row(length, weight.columns, i, x, by_tap, bias, y.row(i));
    silu<T>(x.columns, y.row(i));
  }
}

template <typename T>
void causal_conv_backward(std::int64_t length, ConstMatrix<T> dy, ConstMatrix<T> x, ConstMatrix<T> weight,
                          ConstPointer<T> bias, Matrix<T> dx, Matrix<T> dweight, Pointer<T> dbias) {
  assert(x.rows % length == 0 && weight.rows == x.columns && dy.rows == x.rows && dx.rows == x.rows);
  const std::int64_t channels = x.columns, kernel = weight.columns;
  const std::vector<T> by_tap = transposed(weight);
  std::vector<T> dby_tap(by_tap.size()), dsums(static_cast<std::size_t>(channels));
  const std::vector<T> ones(dbias == nullptr ? 0 : dsums.size(), T{1});
  for (std::int64_t i = 0; i < x.rows; ++i) {
    std::fill_n(dx.row(i), channels, T{0});
    convolve_row(length, kernel, i, x, by_tap, bias, dsums.data());
    silu_backward<T>(channels, dy.row(i), dsums.data());
    if (dbias != nullptr) add_products<T>(channels, dsums.data(), ones.data(), dbias);
    for (std::int64_t tap = first_tap(kernel, i % length); tap < kernel; ++tap) {
      const std::int64_t from = i - (kernel - 1) + tap;
      add_products<T>(channels, dsums.data(), by_tap.data() + tap * channels, dx.row(from));
      add_products<T>(channels, dsums.data(), x.row(from), dby_tap.data() + tap * channels);
    }
  }
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t tap = 0; tap < kernel; ++tap)
      dweight.row(c)[tap] += dby_tap[static_cast<std::size_t>(tap * channels + c)];
}

#define EXEC_INSTANTIATE(T)                                                                                 \
  template void causal_conv<T>(std::int64_t, Matrix<const T>, Matrix<const T>, ConstPointer<T>, Matrix<T>); \
  template void causal_conv_backward<T>(std::int64_t, Matrix<const T>, Matrix<const T>, Matrix<const T>,    \
                                        ConstPointer<T>, Matrix<T>, Matrix<T>, Pointer<T>);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
