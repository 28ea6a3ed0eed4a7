#include <algorithm>

#include "models/blocks/layer_parts.h"

namespace models {

/// Mamba-2 mixer: in-projection to (z, x, B, C, dt), causal convolution over (x, B, C), scan, gated norm,
/// out-projection.
TensorId mamba_part(BlockBuilder& b, const MambaSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const int tp = context.layout().tp;
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t inner = std::int64_t{spec.heads} * spec.head_dim / tp;
  const std::int64_t states = 2 * std::int64_t{spec.groups} * spec.state / std::min(tp, spec.groups);
  const std::int64_t heads = spec.heads / tp;
  b.set_module(Module::mamba);
  b.set_graphed(context.run.graph.mamba || context.run.graph.layer);
  const TensorId n = b.enter_tp(b.quantise(b.norm("mamba_norm", x)));
  const TensorId zxbcdt =
      b.linear({.name = "in_proj", .in = hidden, .out = 2 * inner + states + heads, .split = TpSplit::output}, n);
  b.weight("conv", inner + states, spec.conv_kernel + 1);
  b.weight("scan_parameters", 3, heads);
  const TensorId xbc = b.pointwise("conv", {.kind = PointwiseKind::conv}, {zxbcdt}, inner + states);
  const std::int64_t rows = b.at(xbc).rows;
  const TensorId y = b.activation("scan_out", rows, inner);
  b.add("scan",
        Scan{.tokens = rows,
             .heads = static_cast<int>(heads),
             .head_dim = spec.head_dim,
             .state = spec.state,
             .groups = std::max(1, spec.groups / tp)},
        {xbc, zxbcdt}, {y}, 4);
  b.weight("gated_norm", 1, inner);
  const TensorId gated = b.pointwise("gated_norm", {.kind = PointwiseKind::norm}, {y, zxbcdt});
  const TensorId out = b.linear({.name = "out_proj", .in = inner, .out = hidden, .split = TpSplit::input}, gated);
  return b.residual(b.leave_tp(out), x);
}

}  // namespace models
