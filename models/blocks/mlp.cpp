#include "models/blocks/layer_parts.h"

namespace models {

TensorId activate(BlockBuilder& b, Activation activation, bool gated, TensorId h, TensorId weights) {
  const Traits& traits = b.context().traits();
  const std::int64_t columns = gated ? b.at(h).columns / 2 : b.at(h).columns;
  const bool clamped = activation == Activation::swiglu_clamped;
  const bool fused = traits.compiled || (clamped ? traits.fused_clamped_glu : traits.fused_activation);
  // Unfused: activation and product are kernels of their own, each reading and writing. GPT-OSS's also clamps both
  // halves (4 + 4 B an element), adds an offset (4), multiplies (6), has its sigmoid (4) and weighs the rows in fp32
  // (12): 34 B forward against the fused 6; backward, with clamps' masks and the halves put together, about 60
  // against 10. The ratio between the two stands for both.
  constexpr float kUnfused = 2, kUnfusedClamped = 5.75F;
  const float apart = clamped ? kUnfusedClamped : kUnfused;
  const TensorId y = b.pointwise("activation",
                                 {.kind = PointwiseKind::activation,
                                  .passes = fused ? 1.0F : apart,
                                  .function = Function::activation,
                                  .activation = activation,
                                  .gated = gated},
                                 {h}, columns);
  b.block().tensors[static_cast<std::size_t>(y)].routed = b.at(h).routed;
  if (weights != kNoTensor) b.block().forward.back().reads.push_back(weights);
  return y;
}

Linear first_linear(const BlockBuilder& b, const char* name, std::int64_t whole_ffn, bool gated) {
  const std::int64_t ffn = whole_ffn / b.context().layout().tp;
  const WeightPart part{whole_ffn, static_cast<int>(whole_ffn)};
  Linear linear{.name = name,
                .in = b.context().model().hidden,
                .out = gated ? 2 * ffn : ffn,
                .split = TpSplit::output,
                .parts = {part},
                .copies = gated && b.context().traits().separate_qkv ? 2 : 1};
  if (gated) linear.parts.push_back(part);
  return linear;
}

TensorId mlp_part(BlockBuilder& b, const MlpSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const bool adapter = context.run.lora && context.run.lora->mlp;
  b.set_module(Module::mlp);
  b.set_graphed(context.run.graph.mlp || context.run.graph.layer);
  const TensorId n = b.enter_tp(b.quantise(b.norm("mlp_norm", x)));
  Linear fc1 = first_linear(b, "fc1", spec.ffn, spec.gated);
  if (spec.bias) fc1.bias = "fc1_bias";
  if (adapter) fc1.lora_a = "fc1_lora_a", fc1.lora_b = "fc1_lora_b";
  const TensorId a = activate(b, spec.activation, spec.gated, b.linear(fc1, n));
  Linear fc2{.name = "fc2", .in = b.at(a).columns, .out = context.model().hidden, .split = TpSplit::input};
  if (spec.bias) fc2.bias = "fc2_bias";
  if (adapter) fc2.lora_a = "fc2_lora_a", fc2.lora_b = "fc2_lora_b";
  return b.residual(b.leave_tp(b.linear(fc2, a)), x);
}

}  // namespace models
