#include "exec/cpu/adamw.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

/// The step's scalars in T, without divisions inside the loop but one.
template <typename T>
struct Factors {
  T gradient, beta1, beta2, keep;  ///< keep: what weight decay leaves of a parameter
  T rate;                          ///< learning rate over the first moment's correction
  T correction, epsilon;           ///< correction: of the second moment, a factor
};

template <typename T>
EXEC_VECTORIZED void update(const Factors<T> f, std::int64_t n, const T* __restrict gradient, T* __restrict parameter,
                            T* __restrict first, T* __restrict second) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T g = f.gradient * gradient[i];
    first[i] = f.beta1 * first[i] + (T{1} - f.beta1) * g;
    second[i] = f.beta2 * second[i] + (T{1} - f.beta2) * g * g;
    parameter[i] = f.keep * parameter[i] - f.rate * first[i] / (std::sqrt(f.correction * second[i]) + f.epsilon);
  }
}

template <typename T>
EXEC_VECTORIZED T block_of_squares(std::int64_t n, const T* x) {
  return lane_sum<T>(n, [&](std::int64_t i) { return x[i] * x[i]; });
}

template <typename T>
EXEC_VECTORIZED void multiply(std::int64_t n, T factor, T* x) {
  for (std::int64_t i = 0; i < n; ++i) x[i] *= factor;
}

}  // namespace

template <typename T>
void adamw_step(const AdamW& adamw, std::int64_t step, double gradient_scale, std::span<const T> gradient,
                std::type_identity_t<std::span<T>> parameter, std::type_identity_t<std::span<T>> first_moment,
                std::type_identity_t<std::span<T>> second_moment) {
  assert(step >= 1 && gradient.size() == parameter.size());
  assert(gradient.size() == first_moment.size() && gradient.size() == second_moment.size());
  const double steps = static_cast<double>(step);
  const Factors<T> factors{
      .gradient = static_cast<T>(gradient_scale),
      .beta1 = static_cast<T>(adamw.beta1),
      .beta2 = static_cast<T>(adamw.beta2),
      .keep = static_cast<T>(1 - adamw.learning_rate * adamw.weight_decay),
      .rate = static_cast<T>(adamw.learning_rate / (1 - std::pow(adamw.beta1, steps))),
      .correction = static_cast<T>(1 / (1 - std::pow(adamw.beta2, steps))),
      .epsilon = static_cast<T>(adamw.epsilon),
  };
  update<T>(factors, static_cast<std::int64_t>(gradient.size()), gradient.data(), parameter.data(), first_moment.data(),
            second_moment.data());
}

template <typename T>
double sum_of_squares(std::span<const T> x) {
  constexpr std::size_t kBlock = 4096;
  double sum = 0;
  for (std::size_t first = 0; first < x.size(); first += kBlock) {
    const std::span<const T> block = x.subspan(first, std::min(kBlock, x.size() - first));
    sum += static_cast<double>(block_of_squares<T>(static_cast<std::int64_t>(block.size()), block.data()));
  }
  return sum;
}

template <typename T>
void scale(std::span<T> x, double factor) {
  multiply<T>(static_cast<std::int64_t>(x.size()), static_cast<T>(factor), x.data());
}

#define EXEC_INSTANTIATE(T)                                                                                       \
  template void adamw_step<T>(const AdamW&, std::int64_t, double, std::span<const T>, std::span<T>, std::span<T>, \
                              std::span<T>);                                                                      \
  template double sum_of_squares<T>(std::span<const T>);                                                          \
  template void scale<T>(std::span<T>, double);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
