#pragma once

#include <cstdint>
#include <type_traits>

#include "exec/bfloat16.h"
#include "exec/cpu/matrix.h"

namespace exec::cpu {

/// Makes every later gemm of this process run on its caller's thread alone: a rank is one thread.
void use_one_gemm_thread();

/// c = alpha op(a) op(b) + beta c with op(a) [m, k], op(b) [k, n], c [m, n]; op transposes if the flag says so.
/// beta = 0 overwrites c, whatever it holds. T: float or double, as everywhere in this folder.
template <typename T>
void gemm(ConstMatrix<T> a, bool transpose_a, ConstMatrix<T> b, bool transpose_b, std::type_identity_t<T> beta,
          Matrix<T> c, std::type_identity_t<T> alpha = 1);

/// c = alpha op(a) op(b) + beta c + bias with operands in bf16 and all sums in fp32; T is float or BFloat16, to which
/// each element is rounded once. bias [n] or null. By oneDNN where there is one for it, else by the gemm above on
/// widened copies.
template <typename T>
void gemm_bf16(Matrix<const BFloat16> a, bool transpose_a, Matrix<const BFloat16> b, bool transpose_b, float beta,
               Matrix<T> c, float alpha = 1, const BFloat16* bias = nullptr);

/// The latter of the two.
template <typename T>
void widened_gemm_bf16(Matrix<const BFloat16> a, bool transpose_a, Matrix<const BFloat16> b, bool transpose_b,
                       float beta, Matrix<T> c, float alpha = 1, const BFloat16* bias = nullptr);

/// The library for products of fp32 matrices; those of fp64 are OpenBLAS's.
enum class Fp32Gemm : std::uint8_t { openblas, onednn };

/// gemm<float> by oneDNN, where the build has it.
void gemm_onednn(Matrix<const float> a, bool transpose_a, Matrix<const float> b, bool transpose_b, float beta,
                 Matrix<float> c, float alpha = 1);

enum class Accumulate : bool { no, yes };

/// c = scale op(a) op(b) + bias, or added to c, by the gemm of the operands' types: T and Out are the same, or T is
/// BFloat16 and Out float. bias [n] or null, only where nothing is added to.
template <typename T, typename Out>
void multiply(Fp32Gemm library, Matrix<T> a, bool transpose_a, Matrix<T> b, bool transpose_b, Accumulate accumulate,
              Matrix<Out> c, double scale = 1, const T* bias = nullptr);

/// y[i, j] += bias[j]
template <typename T>
void add_bias(Matrix<T> y, ConstPointer<T> bias);

/// db[j] += sum over i of dy[i, j]
template <typename T>
void bias_gradient(ConstMatrix<T> dy, T* db);
/// The sum is in fp32; T is float or BFloat16.
template <typename T>
void bias_gradient_bf16(Matrix<const BFloat16> dy, Pointer<T> db);

// ---- Inline ----

template <typename T, typename Out>
void multiply(Fp32Gemm library, Matrix<T> a, bool transpose_a, Matrix<T> b, bool transpose_b, Accumulate accumulate,
              Matrix<Out> c, double scale, const T* bias) {
  const double beta = accumulate == Accumulate::yes ? 1 : 0;
  if constexpr (std::is_same_v<T, BFloat16>) {
    return gemm_bf16<Out>(a, transpose_a, b, transpose_b, static_cast<float>(beta), c, static_cast<float>(scale), bias);
  } else if constexpr (std::is_same_v<T, float>) {
    if (library == Fp32Gemm::onednn)
      gemm_onednn(a, transpose_a, b, transpose_b, static_cast<float>(beta), c, static_cast<float>(scale));
    else gemm<float>(a, transpose_a, b, transpose_b, static_cast<float>(beta), c, static_cast<float>(scale));
  } else {
    gemm<T>(a, transpose_a, b, transpose_b, beta, c, scale);
  }
  if constexpr (!std::is_same_v<T, BFloat16>)
    if (bias != nullptr) add_bias<T>(c, bias);
}

}  // namespace exec::cpu
