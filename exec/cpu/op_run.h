#pragma once

#include "exec/cpu/matrix.h"
#include "exec/op_call.h"

namespace exec::cpu {

/// Runs one op on the calling thread. Elements of floating-point operands are all fp32 or all fp64.
/// Throws std::invalid_argument for an op that there is no kernel for.
void run_op(const OpCall& call);

/// Whether there is one.
bool has_kernel(const models::Op& op);

// ---- The families of ops, for T of float or double ----

template <typename T>
Matrix<T> matrix(const View& view) {
  return {static_cast<T*>(view.data()), view.rows, view.columns, view.columns};
}

template <typename T>
void run_gemm(const OpCall& call, const models::Gemm& work);
template <typename T>
void run_attention(const OpCall& call, const models::Attention& work);
template <typename T>
void run_pointwise(const OpCall& call, const models::Pointwise& work);
template <typename T>
void run_collective(const OpCall& call, const models::Collective& work);
template <typename T>
void run_ring_step(const OpCall& call, const models::SendRecv& work);

}  // namespace exec::cpu
