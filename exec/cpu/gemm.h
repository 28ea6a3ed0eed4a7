#pragma once

#include "exec/cpu/matrix.h"

namespace exec::cpu {

/// Makes every later gemm of this process run on its caller's thread alone: a rank is one thread.
void use_one_gemm_thread();

/// c = alpha op(a) op(b) + beta c with op(a) [m, k], op(b) [k, n], c [m, n]; op transposes if the flag says so.
/// beta = 0 overwrites c, whatever it holds. T: float or double, as everywhere in this folder.
template <typename T>
void gemm(ConstMatrix<T> a, bool transpose_a, ConstMatrix<T> b, bool transpose_b, std::type_identity_t<T> beta,
          Matrix<T> c, std::type_identity_t<T> alpha = 1);

/// y[i, j] += bias[j]
template <typename T>
void add_bias(Matrix<T> y, ConstPointer<T> bias);

/// db[j] += sum over i of dy[i, j]
template <typename T>
void bias_gradient(ConstMatrix<T> dy, T* db);

}  // namespace exec::cpu
