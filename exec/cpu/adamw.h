#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

namespace exec::cpu {

struct AdamW {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0;
};

/// One step on a parameter's elements; all spans are of one length. `step` counts from 1. The gradient is multiplied
/// by `gradient_scale` (clipping) first. With g = gradient * gradient_scale:
///   first = beta1 first + (1 - beta1) g;  second = beta2 second + (1 - beta2) g^2
///   parameter -= learning_rate (weight_decay parameter + first' / (sqrt(second') + epsilon))
/// where ' divides by 1 - beta^step. Source: Loshchilov & Hutter, arXiv 1711.05101, algorithm 2.
template <typename T>
void adamw_step(const AdamW& adamw, std::int64_t step, double gradient_scale, std::span<const T> gradient,
                std::type_identity_t<std::span<T>> parameter, std::type_identity_t<std::span<T>> first_moment,
                std::type_identity_t<std::span<T>> second_moment);

/// Sum of x[i]^2, in blocks of float or double and over blocks in double.
template <typename T>
double sum_of_squares(std::span<const T> x);

/// x *= factor
template <typename T>
void scale(std::span<T> x, double factor);

}  // namespace exec::cpu
