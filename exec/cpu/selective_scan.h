#pragma once

#include "exec/cpu/matrix.h"

namespace exec::cpu {

/// State space of a Mamba-2 mixer, over `batch` sequences of `length` rows; group of head h: h / (heads / groups).
struct ScanShape {
  std::int64_t batch = 0, length = 0;
  std::int64_t heads = 0, head_dim = 0, groups = 0, state = 0;
};

template <typename T>
struct ScanInputs {
  Matrix<const T> x;     ///< [batch * length, heads * head_dim]
  Matrix<const T> b, c;  ///< [batch * length, groups * state]
  Matrix<const T> dt;    ///< [batch * length, heads]
  const T* dt_bias;      ///< [heads]
  const T* a_log;        ///< [heads]
  const T* skip;         ///< [heads], the model's D
};

/// Gradients: the matrices are written, the parameters' are added to.
template <typename T>
struct ScanGradients {
  Matrix<T> dx, db, dc, ddt;
  T *ddt_bias, *da_log, *dskip;
};

/// y [batch * length, heads * head_dim]. Per head, with step = softplus(dt + dt_bias), decay = e^(-e^a_log step) and
/// states S [head_dim, state] that start at 0:
///   S_t = decay_t S_(t-1) + step_t x_t b_t^T;   y_t = S_t c_t + skip x_t
/// A plain recurrence over time. Source: Dao & Gu, arXiv 2405.21060, equation 2 with the scalar A of section 3.
template <typename T>
void selective_scan(const ScanShape& shape, const std::type_identity_t<ScanInputs<T>>& in, Matrix<T> y);

/// States are kept at the start of chunks of 64 rows and recomputed inside.
template <typename T>
void selective_scan_backward(const ScanShape& shape, const std::type_identity_t<ScanInputs<T>>& in, ConstMatrix<T> dy,
                             const ScanGradients<T>& to);

}  // namespace exec::cpu
