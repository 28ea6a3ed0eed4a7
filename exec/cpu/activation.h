#pragma once

#include "exec/cpu/matrix.h"
#include "models/model.h"

namespace exec::cpu {

/// y = f(x), all [rows, f]. y may be x.
///   silu   x sigmoid(x)
///   gelu   the tanh form, x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 (Hendrycks & Gimpel, arXiv 1606.08415)
///   relu2  max(x, 0)^2 (So et al., arXiv 2109.08668)
/// swiglu_clamped exists gated only.
template <typename T>
void activate(models::Activation activation, ConstMatrix<T> x, Matrix<T> y);

/// dx = dy f'(x). dx may be dy.
template <typename T>
void activate_backward(models::Activation activation, ConstMatrix<T> dy, ConstMatrix<T> x, Matrix<T> dx);

/// y = f(gate) up, all [rows, f]; gate and up are mostly the halves of one [rows, 2f]. y may be gate or up.
/// swiglu_clamped (gpt_oss/torch/model.py, swiglu): with gate' = min(gate, 7) and up' = up clamped to [-7, 7],
/// y = gate' sigmoid(1.702 gate') (up' + 1).
template <typename T>
void activate_gated(models::Activation activation, ConstMatrix<T> gate, ConstMatrix<T> up, Matrix<T> y);

/// dgate and dup from dy. dgate may be gate and dup may be up.
template <typename T>
void activate_gated_backward(models::Activation activation, ConstMatrix<T> dy, ConstMatrix<T> gate, ConstMatrix<T> up,
                             Matrix<T> dgate, Matrix<T> dup);

}  // namespace exec::cpu
