#pragma once

#include "exec/cpu/matrix.h"

namespace exec::cpu {

/// Depthwise causal convolution over time, then silu: the short convolution of a Mamba-2 mixer.
///   y[t, c] = silu(bias[c] + sum over j of weight[c, j] x[t - (kernel - 1) + j, c])
/// x and y [batch * length, channels], rows before the start of a sequence count as 0; weight [channels, kernel]; bias
/// [channels] or null. y is not x. Source: Gu & Dao, arXiv 2312.00752, section 3.4; code of causal_conv1d.
template <typename T>
void causal_conv(std::int64_t length, ConstMatrix<T> x, ConstMatrix<T> weight, ConstPointer<T> bias, Matrix<T> y);

/// Writes dx (neither x nor dy), adds to dweight and dbias (null without a bias).
template <typename T>
void causal_conv_backward(std::int64_t length, ConstMatrix<T> dy, ConstMatrix<T> x, ConstMatrix<T> weight,
                          ConstPointer<T> bias, Matrix<T> dx, Matrix<T> dweight, Pointer<T> dbias);

}  // namespace exec::cpu
