#pragma once

#include <type_traits>

#include "exec/allocator.h"
#include "exec/bfloat16.h"
#include "exec/cpu/gemm.h"
#include "exec/cpu/matrix.h"
#include "exec/op_call.h"

namespace exec::cpu {

/// Runs one op on the calling thread. Elements of floating-point operands are all fp64, or each fp32 or bf16; then the
/// arithmetic is fp32, and each result is rounded once. `workspace`: for what it needs while it runs.
/// Throws std::invalid_argument for an op that there is no kernel for.
void run_op(const OpCall& call, Allocator& workspace, Fp32Gemm library = Fp32Gemm::openblas);

/// Whether there is one.
bool has_kernel(const models::Op& op);

// ---- The families of ops, for T of float or double; those of GEMMs and collectives for BFloat16 too ----

template <typename T>
Matrix<T> matrix(const View& view) {
  return {static_cast<T*>(view.data()), view.rows, view.columns, view.columns};
}

template <typename T>
Matrix<T> part_of(const View& view, const models::ColumnRange& part) {
  return matrix<T>(view).columns_from(part.first, part.count);
}

/// body<T, Out>() for a product of T: Out is T, or the fp32 that one of bf16 may write.
template <typename T, typename Body>
void with_output(const OpCall& call, const Body& body) {
  if constexpr (std::is_same_v<T, BFloat16>)
    if (call.writes[0].dtype != hw::DType::bf16) return body.template operator()<T, float>();
  body.template operator()<T, T>();
}

template <typename T>
void run_gemm(const OpCall& call, const models::Gemm& work, Fp32Gemm library);
template <typename T>
void run_attention(const OpCall& call, const models::Attention& work);
template <typename T>
void run_pointwise(const OpCall& call, const models::Pointwise& work);
/// Rows of the embedding table; for BFloat16 too.
template <typename T>
void look_up(const OpCall& call);
template <typename T>
void run_scan(const OpCall& call, const models::Scan& work);
template <typename T>
void run_conv(const OpCall& call, const models::Pointwise& work);
template <typename T>
void run_gated_norm(const OpCall& call, const models::Pointwise& work);
template <typename T>
void run_add_vectors(const OpCall& call, const models::Pointwise& work);
template <typename T>
void run_modulated_norm(const OpCall& call, const models::Pointwise& work);
template <typename T>
void run_gated_residual(const OpCall& call, const models::Pointwise& work);
template <typename T>
void run_flow_loss(const OpCall& call, const models::Pointwise& work);
template <typename T>
void run_collective(const OpCall& call, const models::Collective& work);
/// A collective over ETP, whose ranks have different numbers of rows.
void run_over_experts_tp(const OpCall& call, const models::Collective& work);
/// The router, and what moves rows to experts and back.
template <typename T>
void run_routed(const OpCall& call, const models::Pointwise& work);
template <typename T>
void run_grouped_gemm(const OpCall& call, const models::GroupedGemm& work, Fp32Gemm library);
void run_expert_exchange(const OpCall& call, const models::ExpertExchange& work);
/// What row weights add to the activation, forward or backward, behind its kernel.
template <typename T>
void weigh_activation(const OpCall& call, const models::Pointwise& work);
template <typename T>
void run_ring_step(const OpCall& call, const models::SendRecv& work);

}  // namespace exec::cpu
