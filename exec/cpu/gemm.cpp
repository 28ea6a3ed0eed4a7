#include "exec/cpu/gemm.h"

#include <cblas.h>

#include <algorithm>
#include <cassert>
#include <vector>

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

struct Call {
  CBLAS_TRANSPOSE transpose_a, transpose_b;
  blasint m, n, k;
};

void blas(const Call& call, float alpha, Matrix<const float> a, Matrix<const float> b, float beta, Matrix<float> c) {
  cblas_sgemm(CblasRowMajor, call.transpose_a, call.transpose_b, call.m, call.n, call.k, alpha, a.data,
              static_cast<blasint>(a.stride), b.data, static_cast<blasint>(b.stride), beta, c.data,
              static_cast<blasint>(c.stride));
}

void blas(const Call& call, double alpha, Matrix<const double> a, Matrix<const double> b, double beta,
          Matrix<double> c) {
  cblas_dgemm(CblasRowMajor, call.transpose_a, call.transpose_b, call.m, call.n, call.k, alpha, a.data,
              static_cast<blasint>(a.stride), b.data, static_cast<blasint>(b.stride), beta, c.data,
              static_cast<blasint>(c.stride));
}

template <typename T>
EXEC_VECTORIZED void add_rows(Matrix<const T> from, T* to) {
  for (std::int64_t i = 0; i < from.rows; ++i) {
    const T* __restrict row = from.row(i);
    for (std::int64_t j = 0; j < from.columns; ++j) to[j] += row[j];
  }
}

}  // namespace

void use_one_gemm_thread() { openblas_set_num_threads(1); }

template <typename T>
void gemm(ConstMatrix<T> a, bool transpose_a, ConstMatrix<T> b, bool transpose_b, std::type_identity_t<T> beta,
          Matrix<T> c, std::type_identity_t<T> alpha) {
  const std::int64_t k = transpose_a ? a.rows : a.columns;
  assert((transpose_a ? a.columns : a.rows) == c.rows);
  assert((transpose_b ? b.rows : b.columns) == c.columns);
  assert((transpose_b ? b.columns : b.rows) == k);
  if (c.rows == 0 || c.columns == 0) return;
  if (k == 0) {  // BLAS refuses views of nothing
    for (std::int64_t i = 0; i < c.rows; ++i)
      for (std::int64_t j = 0; j < c.columns; ++j) c.row(i)[j] = beta == 0 ? T{0} : beta * c.row(i)[j];
    return;
  }
  const auto flag = [](bool transpose) { return transpose ? CblasTrans : CblasNoTrans; };
  blas({.transpose_a = flag(transpose_a),
        .transpose_b = flag(transpose_b),
        .m = static_cast<blasint>(c.rows),
        .n = static_cast<blasint>(c.columns),
        .k = static_cast<blasint>(k)},
       alpha, a, b, beta, c);
}

template <typename T>
EXEC_VECTORIZED void add_bias(Matrix<T> y, ConstPointer<T> bias) {
  for (std::int64_t i = 0; i < y.rows; ++i) {
    T* __restrict row = y.row(i);
    for (std::int64_t j = 0; j < y.columns; ++j) row[j] += bias[j];
  }
}

template <typename T>
void bias_gradient(ConstMatrix<T> dy, T* db) {
  // Blocks of rows first: the error of float grows with the number of blocks, not of rows.
  constexpr std::int64_t kBlock = 64;
  std::vector<T> sum(static_cast<std::size_t>(dy.columns));
  for (std::int64_t first = 0; first < dy.rows; first += kBlock) {
    std::fill(sum.begin(), sum.end(), T{0});
    add_rows<T>(dy.rows_from(first, std::min(kBlock, dy.rows - first)), sum.data());
    add_rows<T>({sum.data(), 1, dy.columns, dy.columns}, db);
  }
}

template void gemm<float>(Matrix<const float>, bool, Matrix<const float>, bool, float, Matrix<float>, float);
template void gemm<double>(Matrix<const double>, bool, Matrix<const double>, bool, double, Matrix<double>, double);
template void add_bias<float>(Matrix<float>, const float*);
template void add_bias<double>(Matrix<double>, const double*);
template void bias_gradient<float>(Matrix<const float>, float*);
template void bias_gradient<double>(Matrix<const double>, double*);

}  // namespace exec::cpu
