#include <cstdint>

#include "models/model.h"

namespace models {
namespace {

using Count = std::int64_t;

/// Weights of one affine norm over `n` channels.
Count norm_parameters(const Model& model, Count n) { return model.norm == Norm::layer && model.norm_bias ? 2 * n : n; }

/// Projections and latent norms of MLA (arXiv 2405.04434, equations 9 to 19).
Count mla_parameters(Count h, const AttentionSpec& a, const Mla& mla) {
  const Count q_width = Count{a.heads} * (mla.qk_nope + mla.qk_rope);
  const Count q = mla.q_lora_rank > 0 ? mla.q_lora_rank * (h + 1 + q_width) : h * q_width;
  const Count kv = h * (mla.kv_lora_rank + mla.qk_rope) + mla.kv_lora_rank +
                   Count{mla.kv_lora_rank} * a.heads * (mla.qk_nope + mla.v_head);
  return q + kv + Count{a.heads} * mla.v_head * h;
}

Count attention_parameters(const Model& model, const AttentionSpec& a) {
  const Count h = model.hidden;
  if (a.mla) return mla_parameters(h, a, *a.mla);
  const Count q = Count{a.heads} * a.head_dim, kv = Count{a.kv_heads} * a.head_dim;
  Count n = h * (q + 2 * kv) + q * h;
  if (a.output_gate) n += h * q;
  if (a.qkv_bias) n += q + 2 * kv;
  if (a.out_bias) n += h;
  if (a.qk_norm) n += 2 * (model.dit ? q : a.head_dim);  // WAN normalises all heads together
  if (a.sinks) n += a.heads;
  return n;
}

/// Mamba-2: in_proj (z, x, B, C, dt), convolution with bias, A, D and dt_bias per head, gated norm, out_proj.
Count mamba_parameters(Count h, const MambaSpec& m) {
  const Count inner = Count{m.heads} * m.head_dim, convolved = inner + 2 * Count{m.groups} * m.state;
  return h * (inner + convolved + m.heads) + convolved * (m.conv_kernel + 1) + 3 * Count{m.heads} + inner + inner * h;
}

Count mlp_parameters(Count h, const MlpSpec& mlp) {
  const Count up = mlp.gated ? 2 : 1;
  return (up + 1) * h * mlp.ffn + (mlp.bias ? up * mlp.ffn + h : 0);
}

Count moe_parameters(Count h, const MoeSpec& moe, Count experts) {
  const Count up = moe.gated ? 2 : 1;
  const Count inside = moe.latent > 0 ? moe.latent : h;
  Count n = experts * ((up + 1) * inside * moe.expert_ffn + (moe.bias ? up * moe.expert_ffn + inside : 0));
  n += (up + 1) * h * moe.shared_ffn + 2 * h * moe.latent + h * moe.experts;
  if (moe.router == Router::sigmoid_bias) n += moe.experts;
  if (moe.router_bias) n += moe.experts;
  return n;
}

/// Cross-attention to the text, its norm, and the six modulation vectors of a WAN layer.
Count dit_layer_extras(Count h, Count attention) { return attention + 2 * h + 6 * h; }

Count layer_count(const Model& model, const LayerSpec& layer, bool active) {
  const Count h = model.hidden;
  Count n = 0;
  const Count norm = model.dit ? 0 : norm_parameters(model, h);  // WAN's own norms are not affine
  if (layer.attention) n += norm + attention_parameters(model, *layer.attention);
  if (model.dit && layer.attention) n += dit_layer_extras(h, attention_parameters(model, *layer.attention));
  if (layer.mamba) n += norm + mamba_parameters(h, *layer.mamba);
  if (layer.mlp) n += norm + mlp_parameters(h, *layer.mlp);
  if (layer.moe) n += norm + moe_parameters(h, *layer.moe, active ? layer.moe->top_k : layer.moe->experts);
  return n;
}

/// Everything of WAN outside its layers: patch, text and time embeddings, modulation, head.
Count dit_ends(Count h, const DitSpec& d) {
  const Count patch = Count{d.patch_t} * d.patch_hw * d.patch_hw;
  const Count text = (d.text_dim + 1) * h + (h + 1) * h;
  const Count time = (d.freq_dim + 1) * h + (h + 1) * h + (h + 1) * 6 * h;
  return (d.in_channels * patch + 1) * h + text + time + (h + 1) * d.out_channels * patch + 2 * h;
}

Count ends(const Model& model) {
  const Count h = model.hidden;
  if (model.dit) return dit_ends(h, *model.dit);
  const Count tables = (model.tied_embeddings ? 1 : 2) * model.vocab * h;
  return tables + (model.position == Position::learned ? model.learned_positions * h : 0) + norm_parameters(model, h);
}

/// One MTP module: two input norms, the projection of [2h -> h], its layers, the norm before the shared head.
Count mtp_module(const Model& model, bool active) {
  const Count h = model.hidden;
  Count n = 2 * h * h + 3 * norm_parameters(model, h);
  for (const int kind : model.mtp.kinds) n += layer_count(model, model.kinds[static_cast<std::size_t>(kind)], active);
  return n;
}

}  // namespace

std::int64_t layer_parameters(const Model& model, const LayerSpec& layer) { return layer_count(model, layer, false); }

ParameterCount count_parameters(const Model& model) {
  ParameterCount sum{ends(model), ends(model)};
  for (std::size_t kind = 0; kind < model.kinds.size(); ++kind) {
    Count layers = 0;
    for (const int k : model.layers) layers += k == static_cast<int>(kind);
    sum.total += layers * layer_count(model, model.kinds[kind], false);
    sum.active += layers * layer_count(model, model.kinds[kind], true);
  }
  if (model.mtp.depth > 0) {
    const Count modules = model.mtp.shared ? 1 : model.mtp.depth;
    sum.total += modules * mtp_module(model, false);
    sum.active += modules * mtp_module(model, true);
  }
  return sum;
}

}  // namespace models
