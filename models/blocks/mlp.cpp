#include "models/blocks/layer_parts.h"

namespace models {

TensorId activate(BlockBuilder& b, Activation activation, bool gated, TensorId h) {
  const Traits& traits = b.context().traits();
  const std::int64_t columns = gated ? b.at(h).columns / 2 : b.at(h).columns;
  const bool clamped = activation == Activation::swiglu_clamped;
  const bool fused = traits.compiled || (clamped ? traits.fused_clamped_glu : traits.fused_activation);
  // Unfused: clamp, activation and product are kernels of their own, each reading and writing.
  return b.pointwise("activation", PointwiseKind::activation, {h}, fused ? 1.0F : 2.0F, columns);
}

TensorId mlp_part(BlockBuilder& b, const MlpSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t ffn = spec.ffn / context.layout().tp;
  const bool adapter = context.run.lora && context.run.lora->mlp;
  b.set_module(Module::mlp);
  b.set_graphed(context.run.graph.mlp || context.run.graph.layer);
  const TensorId n = b.enter_tp(b.quantise(b.norm("mlp_norm", x)));
  const TensorId h = b.linear({.name = "fc1",
                               .in = hidden,
                               .out = spec.gated ? 2 * ffn : ffn,
                               .bias = spec.bias,
                               .adapter = adapter,
                               .copies = spec.gated && context.traits().separate_qkv ? 2 : 1},
                              n);
  const TensorId a = activate(b, spec.activation, spec.gated, h);
  const TensorId y = b.linear({.name = "fc2", .in = ffn, .out = hidden, .bias = spec.bias, .adapter = adapter}, a);
  return b.residual(b.leave_tp(y), x);
}

}  // namespace models
