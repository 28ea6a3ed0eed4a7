#pragma once

#include "exec/cpu/matrix.h"

namespace exec::cpu {

/// y[i] = x[index[i]], index [y.rows]; a negative index gives zeros.
template <typename T>
void gather_rows(ConstMatrix<T> x, const std::int32_t* index, Matrix<T> y);

/// dx[index[i]] += dy[i], in the order of i; negative indices are left out.
template <typename T>
void scatter_add_rows(ConstMatrix<T> dy, const std::int32_t* index, Matrix<T> dx);

/// y[i] = sum over j of weights[i, j] x[position[i, j]], in the order of j: what the experts return becomes tokens
/// again. position [rows * k], -1: that term is left out; weights [rows, k]; y [rows, c].
template <typename T>
void weighted_combine(ConstMatrix<T> x, const std::int32_t* position, ConstMatrix<T> weights, Matrix<T> y);

/// Writes dx and dweights; both are zero where nothing was combined.
template <typename T>
void weighted_combine_backward(ConstMatrix<T> dy, ConstMatrix<T> x, const std::int32_t* position,
                               ConstMatrix<T> weights, Matrix<T> dx, Matrix<T> dweights);

}  // namespace exec::cpu
