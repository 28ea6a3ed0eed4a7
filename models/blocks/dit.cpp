#include "models/blocks/layer_parts.h"

namespace models {
namespace {

// Kernels of the fp32 modulated LayerNorm and of the gated residual that stock PyTorch code launches one by one (cast
// to fp32, norm, scale, shift, cast back; multiply, add): 26 and 14 bytes per hidden element forward, counted from
// WAN 2.1's reference block, where a single fused kernel would move 4 and 6.
constexpr float kModulatedNormPasses = 26.0F / 4, kGatedResidualPasses = 14.0F / 6;
// fp32 RMSNorm over all heads and complex rotary embedding of q and k: 36 bytes per element forward against 4.
constexpr float kQkNormPasses = 22.0F / 4, kRopePasses = 14.0F / 4;

TensorId fp32_norm(BlockBuilder& b, const char* name, TensorId x) {
  b.set_module(Module::layernorm);
  const TensorId y = b.pointwise(name, {.kind = PointwiseKind::modulate, .passes = kModulatedNormPasses}, {x});
  b.set_module(Module::attention);
  return y;
}

TensorId gated_residual(BlockBuilder& b, TensorId y, TensorId x) {
  return b.pointwise("gated_residual", {.kind = PointwiseKind::gated_residual, .passes = kGatedResidualPasses}, {y, x});
}

TensorId self_attention(BlockBuilder& b, const AttentionSpec& spec, TensorId x) {
  const std::int64_t hidden = b.context().model().hidden;
  const std::int64_t inner = std::int64_t{spec.heads} * spec.head_dim / b.context().layout().tp;
  const bool apart = b.context().traits().separate_qkv;
  TensorId qkv = b.linear({.name = "qkv", .in = hidden, .out = 3 * inner, .bias = "qkv_bias", .copies = apart ? 3 : 1},
                          b.enter_tp(b.quantise(fp32_norm(b, "modulated_norm", x))));
  b.weight("qk_norm", 2, inner);
  b.share_columns(qkv, inner);  // values are kept once, behind the norm
  qkv = b.pointwise("qk_norm", {.kind = PointwiseKind::qk_norm, .passes = kQkNormPasses * 2 / 3}, {qkv});
  qkv = b.pointwise("rope", {.kind = PointwiseKind::rope, .passes = kRopePasses * 2 / 3}, {qkv});
  const TensorId out = core_attention(b, spec, {qkv});
  const TensorId y = b.linear({.name = "attention_out", .in = inner, .out = hidden, .bias = "attention_out_bias"}, out);
  return gated_residual(b, b.leave_tp(y), x);
}

TensorId cross_attention(BlockBuilder& b, const AttentionSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const DitSpec& dit = *context.model().dit;
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t inner = std::int64_t{spec.heads} * spec.head_dim / context.layout().tp;
  const std::int64_t text_rows = std::int64_t{dit.text_len} * context.layout().mbs;
  const TensorId text = b.tensor("text", TensorKind::input, context.storage, text_rows, hidden);
  TensorId q = b.linear({.name = "cross_q", .in = hidden, .out = inner, .bias = "cross_q_bias"},
                        b.enter_tp(b.quantise(fp32_norm(b, "cross_norm", x))));
  b.weight("cross_norm", 2, hidden);
  TensorId kv =
      b.linear({.name = "cross_kv", .in = hidden, .out = 2 * inner, .bias = "cross_kv_bias"}, b.quantise(text));
  b.weight("cross_qk_norm", 2, inner);
  q = b.pointwise("cross_q_norm", {.kind = PointwiseKind::qk_norm, .passes = kQkNormPasses}, {q});
  b.share_columns(kv, inner);
  kv = b.pointwise("cross_k_norm", {.kind = PointwiseKind::qk_norm, .passes = kQkNormPasses / 2}, {kv});
  const std::int64_t rows = b.at(q).rows;
  const TensorId out = b.activation("cross_out", rows, inner);
  const TensorId lse = b.tensor("cross_lse", TensorKind::activation, b.context().wide(), rows, spec.heads);
  b.set_module(Module::core_attention);
  b.add("cross_core",
        Attention{.batch = context.layout().mbs,
                  .queries = rows / context.layout().mbs,
                  .keys = dit.text_len,
                  .heads = spec.heads / context.layout().tp,
                  .kv_heads = spec.heads / context.layout().tp,
                  .qk_dim = spec.head_dim,
                  .v_dim = spec.head_dim,
                  .mask = Mask::full,
                  .operand = context.storage,
                  .backend = context.traits().attention},
        {q, kv}, {out, lse}, 4);
  b.set_module(Module::attention);
  const TensorId y = b.linear({.name = "cross_out", .in = inner, .out = hidden, .bias = "cross_out_bias"}, out);
  return b.pointwise("cross_residual", {.kind = PointwiseKind::residual, .function = Function::add},
                     {b.leave_tp(y), x});  // no gate here
}

}  // namespace

TensorId dit_layer(BlockBuilder& b, const LayerSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t ffn = spec.mlp->ffn / context.layout().tp;
  b.set_module(Module::attention);
  b.weight("modulation", 6, hidden);
  x = self_attention(b, *spec.attention, x);
  x = cross_attention(b, *spec.attention, x);
  const TensorId n = fp32_norm(b, "modulated_norm", x);
  b.set_module(Module::mlp);
  const TensorId h = b.linear({.name = "fc1", .in = hidden, .out = ffn, .bias = "fc1_bias"}, b.enter_tp(b.quantise(n)));
  const TensorId a = activate(b, spec.mlp->activation, false, h);
  const TensorId y = b.linear({.name = "fc2", .in = ffn, .out = hidden, .bias = "fc2_bias"}, a);
  return gated_residual(b, b.leave_tp(y), x);
}

TensorId dit_input(BlockBuilder& b) {
  const BlockContext& context = b.context();
  const DitSpec& dit = *context.model().dit;
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t patch = std::int64_t{dit.in_channels} * dit.patch_t * dit.patch_hw * dit.patch_hw;
  const std::int64_t text_rows = std::int64_t{dit.text_len} * context.layout().mbs;
  b.set_module(Module::time_text);
  const TensorId latents = b.tensor("latents", TensorKind::activation, context.storage, context.shard_tokens, patch);
  const TensorId x =
      b.linear({.name = "patch_embedding", .in = patch, .out = hidden, .bias = "patch_embedding_bias"}, latents);
  const TensorId text = b.tensor("text_encoding", TensorKind::activation, context.storage, text_rows, dit.text_dim);
  const TensorId t1 = b.linear({.name = "text_fc1", .in = dit.text_dim, .out = hidden, .bias = "text_fc1_bias"}, text);
  const TensorId t2 = b.pointwise("text_gelu", {.kind = PointwiseKind::activation}, {t1});
  b.linear({.name = "text_fc2", .in = hidden, .out = hidden, .bias = "text_fc2_bias"}, t2);
  const TensorId time = b.tensor("time", TensorKind::activation, context.storage, context.layout().mbs, dit.freq_dim);
  const TensorId e1 = b.linear({.name = "time_fc1", .in = dit.freq_dim, .out = hidden, .bias = "time_fc1_bias"}, time);
  const TensorId e2 = b.linear({.name = "time_fc2", .in = hidden, .out = hidden, .bias = "time_fc2_bias"},
                               b.pointwise("time_silu", {.kind = PointwiseKind::activation}, {e1}));
  b.linear({.name = "time_projection", .in = hidden, .out = 6 * hidden, .bias = "time_projection_bias"}, e2);
  return x;
}

void dit_output(BlockBuilder& b, TensorId x) {
  const BlockContext& context = b.context();
  const DitSpec& dit = *context.model().dit;
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t patch = std::int64_t{dit.out_channels} * dit.patch_t * dit.patch_hw * dit.patch_hw;
  b.set_module(Module::head);
  b.weight("head_modulation", 2, hidden);
  const TensorId n =
      b.pointwise("modulated_norm", {.kind = PointwiseKind::modulate, .passes = kModulatedNormPasses}, {x});
  const TensorId out =
      b.linear({.name = "unpatch", .in = hidden, .out = patch, .bias = "unpatch_bias", .quantise = false}, n);
  b.pointwise("flow_matching_loss", {.kind = PointwiseKind::loss}, {out});
}

}  // namespace models
