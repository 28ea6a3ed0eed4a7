#include <algorithm>

#include "models/step_program.h"

namespace models {
namespace {

double matrix(std::int64_t a, std::int64_t b) { return static_cast<double>(a) * static_cast<double>(b); }

hw::Flops flops_of(const Gemm& work) { return {2 * matrix(work.m, work.n) * static_cast<double>(work.k)}; }

hw::Flops flops_of(const GroupedGemm& work) { return {2 * matrix(work.rows, work.n) * static_cast<double>(work.k)}; }

/// Two products forward (q k^T and p v), five backward (scores again, dv, dp, dq, dk): flash attention, arXiv
/// 2307.08691, section 3.
hw::Flops flops_of(const Attention& work) {
  const double pairs = static_cast<double>(work.batch) * work.heads * static_cast<double>(work.queries);
  const double per_pair = work.backward ? 2.0 * (3 * work.qk_dim + 2 * work.v_dim) : 2.0 * (work.qk_dim + work.v_dim);
  return {pairs * work.mean_keys() * per_pair};
}

/// Chunked SSD: scores within a chunk, values within a chunk, states in and out (arXiv 2405.21060, section 6), with
/// chunks of 128 of which causality leaves half; backward three times that (it recomputes the states).
hw::Flops flops_of(const Scan& work) {
  constexpr double kHalfChunk = 64;
  const double per_token = 2.0 * work.heads *
                           (kHalfChunk * work.state * work.groups / work.heads + kHalfChunk * work.head_dim +
                            2.0 * work.head_dim * work.state);
  return {static_cast<double>(work.tokens) * per_token * (work.backward ? 3 : 1)};
}

hw::Flops flops_of(const OptimizerStep& work) { return work.flops; }

/// Both operands once and the result; a weight gradient accumulates, so its result is read and written.
hw::Bytes matmul_bytes(double m, double n, double k, double groups, const hw::DType operand, const hw::DType output,
                       GemmRole role) {
  const double in = hw::bytes_per_element(operand), out = hw::bytes_per_element(output);
  if (role == GemmRole::weight_grad) return {in * (m * k + k * n) + 2 * out * m * n * groups};
  return {in * (m * k + k * n * groups) + out * m * n};
}

/// rows, n, k as in GroupedGemm: a weight gradient is [n, k] per group and contracts over the rows.
hw::Bytes grouped_bytes(const GroupedGemm& work) {
  const auto rows = static_cast<double>(work.rows), n = static_cast<double>(work.n), k = static_cast<double>(work.k);
  if (work.role == GemmRole::weight_grad)
    return matmul_bytes(n, k, rows, work.groups, work.operand, work.output, work.role);
  return matmul_bytes(rows, n, k, work.groups, work.operand, work.output, work.role);
}

template <typename Other>
hw::Flops flops_of(const Other&) {
  return {0};
}

bool is_table(const Op& op) {
  const auto* pointwise = std::get_if<Pointwise>(&op.work);
  return pointwise != nullptr &&
         (pointwise->function == Function::embedding || pointwise->function == Function::add_positions);
}

/// A weight gradient is accumulated: read and written.
double touches(const Tensor& tensor, bool written) {
  return written && tensor.kind == TensorKind::weight_gradient ? 2.0 : 1.0;
}

}  // namespace

double Attention::mean_keys() const {
  const auto all = static_cast<double>(keys);
  switch (mask) {
    case Mask::full: return all;
    case Mask::causal: return all - static_cast<double>(queries - 1) / 2;
    case Mask::window: {
      const double w = std::min<double>(window, all);
      return w - w * (w - 1) / (2 * all);
    }
  }
  return all;
}

OpSize op_size(const Block& block, const Op& op) {
  OpSize size;
  size.flops = std::visit([](const auto& work) { return flops_of(work); }, op.work);
  if (const auto* gemm = std::get_if<Gemm>(&op.work)) {
    size.bytes = matmul_bytes(static_cast<double>(gemm->m), static_cast<double>(gemm->n), static_cast<double>(gemm->k),
                              1, gemm->operand, gemm->output, gemm->role);
  } else if (const auto* grouped = std::get_if<GroupedGemm>(&op.work)) {
    size.bytes = grouped_bytes(*grouped);
  } else if (std::get_if<TpCopy>(&op.work) != nullptr) {
    size.bytes = {0};
  } else if (const auto* collective = std::get_if<Collective>(&op.work)) {
    size.bytes = collective->payload;
  } else if (const auto* send = std::get_if<SendRecv>(&op.work)) {
    size.bytes = send->payload;
  } else if (const auto* copy = std::get_if<HostCopy>(&op.work)) {
    size.bytes = copy->payload;
  } else if (const auto* exchange = std::get_if<ExpertExchange>(&op.work)) {
    size.bytes = static_cast<double>(exchange->tokens) * exchange->ranks_per_token * exchange->bytes_per_token;
  } else if (const auto* optimizer = std::get_if<OptimizerStep>(&op.work)) {
    size.bytes = optimizer->bytes;
  } else {
    // Of a table only the rows of its tokens are touched, which the other operand has counted.
    const bool table = is_table(op);
    const auto counts = [&](const Tensor& tensor) {
      return !table || (tensor.kind != TensorKind::weight && tensor.kind != TensorKind::weight_gradient);
    };
    for (const TensorId id : op.reads) {
      const Tensor& tensor = block.tensors[static_cast<std::size_t>(id)];
      if (counts(tensor)) size.bytes += tensor.bytes();
    }
    for (const TensorId id : op.writes) {
      const Tensor& tensor = block.tensors[static_cast<std::size_t>(id)];
      if (counts(tensor)) size.bytes += touches(tensor, true) * tensor.bytes();
    }
  }
  return size;
}

}  // namespace models
