#include "sim/breakdown.h"

#include <variant>

namespace sim {
namespace {

Part pointwise_part(models::PointwiseKind kind) {
  using enum models::PointwiseKind;
  switch (kind) {
    case norm:
    case residual:
    case modulate:
    case gated_residual: return Part::norm;
    case activation:
    case bias: return Part::activation;
    case rope:
    case qk_norm: return Part::rope;
    case router:
    case permute:
    case unpermute: return Part::permute;
    case loss:
    case embedding: return Part::loss;
    case cast: return Part::cast;
    default: return Part::pointwise;
  }
}

}  // namespace

const char* name(Part part) {
  constexpr const char* kNames[kParts] = {"gemm",         "grouped_gemm", "attention",     "scan",         "norm",
                                          "activation",   "rope",         "permute",       "loss",         "cast",
                                          "pointwise",    "slowdown",     "exposed_tp",    "exposed_ep",   "exposed_cp",
                                          "exposed_fsdp", "exposed_dp",   "exposed_p2p",   "exposed_copy", "host",
                                          "bubble",       "optimizer",    "step_constant", "straggler"};
  return kNames[static_cast<int>(part)];
}

Part compute_part(const models::Op& op) {
  if (std::holds_alternative<models::Gemm>(op.work)) return Part::gemm;
  if (std::holds_alternative<models::GroupedGemm>(op.work)) return Part::grouped_gemm;
  if (std::holds_alternative<models::Attention>(op.work)) return Part::attention;
  if (std::holds_alternative<models::Scan>(op.work)) return Part::scan;
  if (std::holds_alternative<models::OptimizerStep>(op.work)) return Part::optimizer;
  if (const auto* pointwise = std::get_if<models::Pointwise>(&op.work)) return pointwise_part(pointwise->kind);
  return Part::pointwise;
}

Part exposed_part(models::Stream stream, bool sharded) {
  using enum models::Stream;
  switch (stream) {
    case ep_comm: return Part::exposed_ep;
    case cp_comm: return Part::exposed_cp;
    case dp_comm: return sharded ? Part::exposed_fsdp : Part::exposed_dp;
    case pp_comm: return Part::exposed_p2p;
    case copy: return Part::exposed_copy;
    case host: return Part::host;
    default: return Part::exposed_tp;
  }
}

std::vector<BreakdownItem> breakdown_items(const Parts& parts) {
  std::vector<BreakdownItem> items;
  for (int i = 0; i < kParts; ++i) {
    const auto part = static_cast<Part>(i);
    if (parts[part] != 0) items.push_back({name(part), {parts[part]}});
  }
  return items;
}

}  // namespace sim
