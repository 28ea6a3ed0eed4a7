#include <array>

#include "models/blocks/layer_parts.h"

namespace models {
namespace {

// Kernels of the fp32 modulated LayerNorm and of the gated residual that stock PyTorch code launches one by one (cast
// to fp32, norm, scale, shift, cast back; multiply, add): 26 and 14 bytes per hidden element forward, counted from
// WAN 2.1's reference block, where a single fused kernel would move 4 and 6.
constexpr float kModulatedNormPasses = 26.0F / 4, kGatedResidualPasses = 14.0F / 6;
// fp32 RMSNorm over all heads and complex rotary embedding of q and k: 36 bytes per element forward against 4.
constexpr float kQkNormPasses = 22.0F / 4, kRopePasses = 14.0F / 4;

constexpr const char *kText = "text", *kTime = "time_embedding", *kTimeRows = "time_rows";

/// Rows of a modulation, `hidden` columns each, from `first` on.
ColumnRange modulation_rows(const BlockBuilder& b, int first, int count) {
  const std::int64_t hidden = b.context().model().hidden;
  return {.first = first * hidden, .count = count * hidden};
}

/// Of the time and of this block together: [sequences, rows * hidden].
TensorId modulation(BlockBuilder& b, const char* name, int rows, TensorId time) {
  const std::int64_t hidden = b.context().model().hidden;
  const TensorId w = b.weight(name, rows, hidden);
  return b.pointwise("modulation", {.function = Function::add_vectors}, {time, w}, rows * hidden);
}

Pointwise norm_work(const BlockBuilder& b, Function function) {
  return {.kind = PointwiseKind::modulate,
          .passes = kModulatedNormPasses,
          .function = function,
          .norm = Norm::layer,
          .epsilon = b.context().model().norm_epsilon};
}

/// Its shift and scale are two rows of the modulation.
TensorId modulated_norm(BlockBuilder& b, TensorId x, TensorId rows, int first) {
  Pointwise work = norm_work(b, Function::modulated_norm);
  work.detail = modulation_rows(b, first, 2);
  return b.pointwise("modulated_norm", work, {x, rows});
}

TensorId gated_residual(BlockBuilder& b, TensorId y, TensorId x, TensorId rows, int gate) {
  return b.pointwise("gated_residual",
                     {.kind = PointwiseKind::gated_residual,
                      .passes = kGatedResidualPasses,
                      .function = Function::gated_residual,
                      .detail = modulation_rows(b, gate, 1)},
                     {y, x, rows});
}

/// RMS norm of all heads of q together, and of all of k.
TensorId all_heads_norm(BlockBuilder& b, const char* name, float passes, const HeadColumns& columns, TensorId x,
                        TensorId w) {
  return b.pointwise(name,
                     {.kind = PointwiseKind::qk_norm,
                      .passes = passes,
                      .function = Function::head_norm,
                      .epsilon = b.context().model().norm_epsilon,
                      .detail = columns},
                     {x, w});
}

std::int64_t largest_divisor(std::int64_t n, int power) {
  std::int64_t largest = 1;
  for (std::int64_t d = 1; d * d * (power == 3 ? d : 1) <= n; ++d)
    if (n % d == 0) largest = d;
  return largest;
}

/// Frames, height and width of a sequence of patches, as near to a cube as its length allows: a run states no more.
std::array<std::int32_t, 3> grid_of(std::int64_t tokens) {
  const std::int64_t frames = largest_divisor(tokens, 3), height = largest_divisor(tokens / frames, 2);
  return {static_cast<std::int32_t>(frames), static_cast<std::int32_t>(height),
          static_cast<std::int32_t>(tokens / frames / height)};
}

TensorId self_attention(BlockBuilder& b, const AttentionSpec& spec, TensorId x, TensorId rows) {
  const BlockContext& context = b.context();
  const std::int64_t hidden = context.model().hidden;
  const int heads = spec.heads / context.layout().tp;
  const std::int64_t inner = std::int64_t{heads} * spec.head_dim;
  b.set_module(Module::layernorm);
  const TensorId n = modulated_norm(b, x, rows, 0);
  b.set_module(Module::attention);
  TensorId qkv = b.linear({.name = "qkv",
                           .in = hidden,
                           .out = 3 * inner,
                           .bias = "qkv_bias",
                           .copies = context.traits().separate_qkv ? 3 : 1},
                          b.enter_tp(b.quantise(n)));
  const TensorId w = b.weight("qk_norm", 2, inner, {.init = WeightInit::one});
  b.share_columns(qkv, inner);  // values are kept once, behind the norm
  qkv = all_heads_norm(b, "qk_norm", kQkNormPasses * 2 / 3,
                       {.heads = 1, .kv_heads = 1, .head_dim = static_cast<int>(inner)}, qkv, w);
  qkv = b.pointwise("rope",
                    {.kind = PointwiseKind::rope,
                     .passes = kRopePasses * 2 / 3,
                     .function = Function::rotate,
                     .detail = HeadColumns{.heads = heads,
                                           .kv_heads = heads,
                                           .head_dim = spec.head_dim,
                                           .rotated = spec.head_dim,
                                           .theta = context.model().rope_theta,
                                           .interleaved = true,
                                           .grid = grid_of(context.layout().seq_len)}},
                    {qkv});
  const TensorId out = core_attention(b, spec, {qkv});
  const TensorId y = b.linear({.name = "attention_out", .in = inner, .out = hidden, .bias = "attention_out_bias"}, out);
  return gated_residual(b, b.leave_tp(y), x, rows, 2);
}

TensorId cross_attention(BlockBuilder& b, const AttentionSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const DitSpec& dit = *context.model().dit;
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t inner = std::int64_t{spec.heads} * spec.head_dim / context.layout().tp;
  const std::int64_t text_rows = std::int64_t{dit.text_len} * context.layout().mbs;
  const TensorId text = b.carried(kText, text_rows, hidden);
  b.set_module(Module::layernorm);
  const TensorId scale = b.weight("cross_norm", 2, hidden, {.init = WeightInit::norm_and_shift});
  const TensorId n = b.pointwise("cross_norm", norm_work(b, Function::norm), {x, scale});
  b.set_module(Module::attention);
  TensorId q =
      b.linear({.name = "cross_q", .in = hidden, .out = inner, .bias = "cross_q_bias"}, b.enter_tp(b.quantise(n)));
  TensorId kv =
      b.linear({.name = "cross_kv", .in = hidden, .out = 2 * inner, .bias = "cross_kv_bias"}, b.quantise(text));
  const TensorId w = b.weight("cross_qk_norm", 2, inner, {.init = WeightInit::one});
  const int width = static_cast<int>(inner);
  q = all_heads_norm(b, "cross_q_norm", kQkNormPasses, {.heads = 1, .head_dim = width}, q, w);
  b.share_columns(kv, inner);
  kv = all_heads_norm(b, "cross_k_norm", kQkNormPasses / 2, {.kv_heads = 1, .head_dim = width}, kv, w);
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
                  .causal = false,
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
  b.set_module(Module::layernorm);
  const TensorId rows = modulation(b, "modulation", 6, b.carried(kTimeRows, context.layout().mbs, 6 * hidden));
  x = self_attention(b, *spec.attention, x, rows);
  x = cross_attention(b, *spec.attention, x);
  b.set_module(Module::layernorm);
  const TensorId n = modulated_norm(b, x, rows, 3);
  b.set_module(Module::mlp);
  const TensorId h = b.linear({.name = "fc1", .in = hidden, .out = ffn, .bias = "fc1_bias"}, b.enter_tp(b.quantise(n)));
  const TensorId a = activate(b, spec.mlp->activation, false, h);
  const TensorId y = b.linear({.name = "fc2", .in = ffn, .out = hidden, .bias = "fc2_bias"}, a);
  return gated_residual(b, b.leave_tp(y), x, rows, 5);
}

TensorId dit_input(BlockBuilder& b) {
  const BlockContext& context = b.context();
  const DitSpec& dit = *context.model().dit;
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t patch = std::int64_t{dit.in_channels} * dit.patch_t * dit.patch_hw * dit.patch_hw;
  const std::int64_t text_rows = std::int64_t{dit.text_len} * context.layout().mbs;
  b.set_module(Module::time_text);
  const auto data = [&](const char* name, std::int64_t rows, std::int64_t columns) {
    return b.tensor(name, TensorKind::data, context.storage, rows, columns);
  };
  const auto activated = [&](const char* name, Activation activation, TensorId h) {
    return b.pointwise(
        name, {.kind = PointwiseKind::activation, .function = Function::activation, .activation = activation}, {h});
  };
  const TensorId x = b.linear({.name = "patch_embedding", .in = patch, .out = hidden, .bias = "patch_embedding_bias"},
                              data("latents", context.shard_tokens, patch));
  const TensorId t1 = b.linear({.name = "text_fc1", .in = dit.text_dim, .out = hidden, .bias = "text_fc1_bias"},
                               data("text_encoding", text_rows, dit.text_dim));
  const TensorId t2 = activated("text_gelu", Activation::gelu, t1);
  b.carry(kText, b.linear({.name = "text_fc2", .in = hidden, .out = hidden, .bias = "text_fc2_bias"}, t2));
  const TensorId e1 = b.linear({.name = "time_fc1", .in = dit.freq_dim, .out = hidden, .bias = "time_fc1_bias"},
                               data("time", context.layout().mbs, dit.freq_dim));
  const TensorId e2 = b.linear({.name = "time_fc2", .in = hidden, .out = hidden, .bias = "time_fc2_bias"},
                               activated("time_silu", Activation::silu, e1));
  b.carry(kTime, e2);
  b.carry(kTimeRows,
          b.linear({.name = "time_projection", .in = hidden, .out = 6 * hidden, .bias = "time_projection_bias"},
                   activated("time_silu", Activation::silu, e2)));
  return x;
}

void dit_output(BlockBuilder& b, TensorId x) {
  const BlockContext& context = b.context();
  const DitSpec& dit = *context.model().dit;
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t patch = std::int64_t{dit.out_channels} * dit.patch_t * dit.patch_hw * dit.patch_hw;
  b.set_module(Module::head);
  const TensorId rows =
      modulation(b, "head_modulation", 2, b.carried(kTime, context.layout().mbs, context.model().hidden));
  const TensorId out =
      b.linear({.name = "unpatch", .in = hidden, .out = patch, .bias = "unpatch_bias", .quantise = false},
               modulated_norm(b, x, rows, 0));
  const TensorId velocity = b.tensor("velocity", TensorKind::data, context.storage, b.at(out).rows, patch);
  const TensorId losses = b.tensor("token_losses", TensorKind::activation, context.wide(), b.at(out).rows, 1);
  b.add("flow_matching_loss", Pointwise{.kind = PointwiseKind::loss, .function = Function::flow_loss}, {out, velocity},
        {losses}, 1);
}

}  // namespace models
