#include "models/blocks/layer_parts.h"

namespace models {

/// Mamba-2 mixer: in-projection to (z, x, B, C, dt), causal convolution over (x, B, C), scan, gated norm,
/// out-projection. TP divides it by heads, and B and C by groups.
TensorId mamba_part(BlockBuilder& b, const MambaSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const int tp = context.layout().tp;
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t heads = spec.heads / tp, groups = spec.groups / tp;
  const std::int64_t inner = heads * spec.head_dim;
  const std::int64_t convolved = inner + 2 * groups * spec.state;
  const WeightPart whole_inner{std::int64_t{spec.heads} * spec.head_dim, spec.heads};
  const WeightPart whole_state{std::int64_t{spec.groups} * spec.state, spec.groups};
  const WeightPart whole_heads{spec.heads, spec.heads};
  b.set_module(Module::mamba);
  b.set_graphed(context.run.graph.mamba || context.run.graph.layer);
  const TensorId n = b.enter_tp(b.quantise(b.norm("mamba_norm", x)));
  const TensorId zxbcdt = b.linear({.name = "in_proj",
                                    .in = hidden,
                                    .out = inner + convolved + heads,
                                    .split = TpSplit::output,
                                    .parts = {whole_inner, whole_inner, whole_state, whole_state, whole_heads}},
                                   n);
  const TensorId taps =
      b.weight("conv", convolved, spec.conv_kernel + 1,
               {.cut = true, .parts = {whole_inner, whole_state, whole_state}, .init = WeightInit::conv});
  const TensorId xbc = b.pointwise("conv",
                                   {.kind = PointwiseKind::conv,
                                    .function = Function::conv,
                                    .detail = ColumnRange{.first = inner, .count = convolved}},
                                   {zxbcdt, taps}, convolved);
  const TensorId parameters = b.weight(
      "scan_parameters", 3, heads, {.cut = true, .by_columns = true, .parts = {whole_heads}, .init = WeightInit::scan});
  const std::int64_t rows = b.at(xbc).rows;
  const TensorId y = b.activation("scan_out", rows, inner);
  b.add("scan",
        Scan{.tokens = rows,
             .heads = static_cast<int>(heads),
             .head_dim = spec.head_dim,
             .state = spec.state,
             .groups = static_cast<int>(groups),
             .first_step = inner + convolved},
        {xbc, zxbcdt, parameters}, {y}, 4);
  const WeightPart whole_groups{whole_inner.length, spec.groups};
  const TensorId scale = b.weight("gated_norm", 1, inner,
                                  {.cut = true, .by_columns = true, .parts = {whole_groups}, .init = WeightInit::one});
  const TensorId gated = b.pointwise("gated_norm",
                                     {.kind = PointwiseKind::norm,
                                      .function = Function::gated_norm,
                                      .norm = Norm::rms,
                                      .epsilon = context.model().norm_epsilon,
                                      .groups = static_cast<int>(groups),
                                      .detail = ColumnRange{.first = 0, .count = inner}},
                                     {y, zxbcdt, scale});
  const TensorId out = b.linear({.name = "out_proj", .in = inner, .out = hidden, .split = TpSplit::input}, gated);
  return b.residual(b.leave_tp(out), x);
}

}  // namespace models
