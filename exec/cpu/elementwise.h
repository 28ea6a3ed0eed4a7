#pragma once

#include "exec/cpu/matrix.h"

namespace exec::cpu {

/// y = a + b; y may be a or b.
template <typename T>
void add(ConstMatrix<T> a, ConstMatrix<T> b, Matrix<T> y);

/// y += x
template <typename T>
void add_to(Matrix<T> y, ConstMatrix<T> x);

// Below, `scale`, `shift` and `gate` [batch, c] hold one row for each sequence; row i of x [batch * length, c] belongs
// to sequence i / length. Their gradients are added to, summed over the rows of the sequence in their order.

/// y = x (1 + scale) + shift, adaLN's modulation of a normed x; y may be x.
/// Source: Peebles & Xie, arXiv 2212.09748, section 3.2.
template <typename T>
void modulate(ConstMatrix<T> x, ConstMatrix<T> scale, ConstMatrix<T> shift, Matrix<T> y);

/// dx may be dy.
template <typename T>
void modulate_backward(ConstMatrix<T> dy, ConstMatrix<T> x, ConstMatrix<T> scale, Matrix<T> dx, Matrix<T> dscale,
                       Matrix<T> dshift);

/// y = x + gate h; y may be x or h. The gradient of x is dy itself.
template <typename T>
void gated_residual(ConstMatrix<T> x, ConstMatrix<T> h, ConstMatrix<T> gate, Matrix<T> y);

/// dh may be dy.
template <typename T>
void gated_residual_backward(ConstMatrix<T> dy, ConstMatrix<T> h, ConstMatrix<T> gate, Matrix<T> dh, Matrix<T> dgate);

/// y = x sigmoid(gate), gate [rows, c] as x; y may be x.
template <typename T>
void sigmoid_gate(ConstMatrix<T> x, ConstMatrix<T> gate, Matrix<T> y);

/// dx and dgate are written; dx may be dy, dgate may be gate.
template <typename T>
void sigmoid_gate_backward(ConstMatrix<T> dy, ConstMatrix<T> x, ConstMatrix<T> gate, Matrix<T> dx, Matrix<T> dgate);

}  // namespace exec::cpu
