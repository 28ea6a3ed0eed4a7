#include "models/model_flops.h"

#include <algorithm>

#include "models/model_flops_parts.h"

namespace models {
namespace flops {
namespace {

/// Projections, convolution left out, and the state-space scan as Megatron-Bridge counts it: 7 d_inner N forward.
double mamba_weights(double h, const MambaSpec& m) {
  const double inner = double(m.heads) * m.head_dim, state = m.state;
  return 6 * h * (2 * inner + 2.0 * m.groups * state + m.heads + inner) + 21 * inner * state;
}

double moe_weights(double h, const MoeSpec& moe) {
  const double matrices = moe.gated ? 3 : 2, latent = static_cast<double>(moe.latent);
  const double routed = moe.top_k * (moe.latent > 0 ? latent : h) * static_cast<double>(moe.expert_ffn);
  const double shared = h * static_cast<double>(moe.shared_ffn);
  return 6 * (matrices * (routed + shared) + 2 * h * latent + h * moe.experts);
}

PerToken layer_flops(const Model& model, const LayerSpec& layer, double span, bool halved) {
  const double h = static_cast<double>(model.hidden);
  PerToken flops;
  if (layer.attention) {
    flops.weights += 6 * projection_weights(h, *layer.attention);
    const AttentionSpec& a = *layer.attention;
    flops.attention += 6.0 * a.heads * (a.head_dim + a.v_head_dim) * mean_keys(a, span, halved);
  }
  if (layer.mamba) flops.weights += mamba_weights(h, *layer.mamba);
  if (layer.mlp) flops.weights += (layer.mlp->gated ? 18 : 12) * h * static_cast<double>(layer.mlp->ffn);
  if (layer.moe) flops.weights += moe_weights(h, *layer.moe);
  return flops;
}

}  // namespace

std::vector<double> passes(const Model& model, bool mtp) {
  std::vector<double> count(model.kinds.size());
  for (const int kind : model.layers) count[static_cast<std::size_t>(kind)] += 1;
  if (mtp)
    for (const int kind : model.mtp.kinds) count[static_cast<std::size_t>(kind)] += model.mtp.depth;
  return count;
}

double mean_keys(const AttentionSpec& attention, double span, bool halved) {
  if (!attention.causal) return span;
  const double window = attention.window;
  if (window == 0 || window >= span) return halved ? span / 2 : span;
  return halved ? window - window * (window - 1) / (2 * span) : window;
}

double projection_weights(double hidden, const AttentionSpec& a) {
  const double heads = a.heads;
  if (a.mla) {
    const Mla& m = *a.mla;
    const double query = heads * (m.qk_nope + m.qk_rope);
    const double q = m.q_lora_rank > 0 ? m.q_lora_rank * (hidden + query) : hidden * query;
    return q + hidden * (m.kv_lora_rank + m.qk_rope) + m.kv_lora_rank * heads * (m.qk_nope + m.v_head) +
           heads * m.v_head * hidden;
  }
  const double gate = a.output_gate ? heads : 0;
  return hidden * a.head_dim * (2 * heads + 2.0 * a.kv_heads + gate);
}

PerToken every_matmul(const Model& model, double span, bool halved) {
  if (model.dit) return diffusion_transformer(model, span);
  const double h = static_cast<double>(model.hidden), depth = model.mtp.depth;
  const std::vector<double> count = passes(model, true);
  PerToken sum;
  for (std::size_t kind = 0; kind < model.kinds.size(); ++kind) {
    const PerToken layer = layer_flops(model, model.kinds[kind], span, halved);
    sum.weights += count[kind] * layer.weights;
    sum.attention += count[kind] * layer.attention;
  }
  sum.weights += depth * 12 * h * h + (1 + depth) * 6 * h * static_cast<double>(model.vocab);
  return sum;
}

PerToken six_n(const Model& model) { return {.weights = 6.0 * static_cast<double>(count_parameters(model).active)}; }

PerToken llm_foundry(const Model& model, double span) {
  const double h = static_cast<double>(model.hidden);
  PerToken flops = six_n(model);
  // The benchmark sets max_seq_len to the sequence, so the printed N holds a position row for every token of it.
  if (model.position == Position::learned)
    flops.weights += 6 * h * (span - static_cast<double>(model.learned_positions));
  flops.attention = 12 * static_cast<double>(model.layers.size()) * h * span;
  return flops;
}

namespace {

PerToken by_convention(const Model& model, double seq_len, double span, int tp, FlopsConvention convention) {
  switch (convention) {
    case FlopsConvention::causal: return every_matmul(model, span, true);
    case FlopsConvention::full: return every_matmul(model, span, false);
    case FlopsConvention::six_n: return six_n(model);
    case FlopsConvention::megatron_bridge: return megatron_bridge(model, seq_len, tp, false);
    case FlopsConvention::megatron_bridge_2604: return megatron_bridge(model, seq_len, tp, true);
    case FlopsConvention::automodel: return automodel(model, seq_len, AutomodelEra::current);
    case FlopsConvention::automodel_2025: return automodel(model, seq_len, AutomodelEra::until_2026_07);
    case FlopsConvention::automodel_2025_09: return automodel(model, seq_len, AutomodelEra::until_2025_10);
    case FlopsConvention::dfm: return dfm(model, seq_len);
    case FlopsConvention::llm_foundry: return llm_foundry(model, span);
  }
  return {};
}

/// The sources whose LoRA factor takes the whole count, attention included.
bool scales_attention(FlopsConvention c) {
  return c == FlopsConvention::automodel || c == FlopsConvention::automodel_2025 ||
         c == FlopsConvention::automodel_2025_09;
}

bool bridge(FlopsConvention c) {
  return c == FlopsConvention::megatron_bridge || c == FlopsConvention::megatron_bridge_2604;
}

}  // namespace
}  // namespace flops

hw::Flops model_flops_per_token(const Model& model, std::int64_t seq_len, int tp, FlopsConvention convention,
                                const TrainedPart& part) {
  const double tokens = static_cast<double>(seq_len);
  if (part.lora && flops::bridge(convention) && model.family() == Family::dense && !model.hybrid())
    return {flops::megatron_bridge_lora(model, tokens, part.packed_mean_square)};
  const double span = part.packed_mean_square > 0 ? part.packed_mean_square / tokens : tokens;
  const flops::PerToken count = flops::by_convention(model, tokens, span, tp, convention);
  if (!part.lora || flops::bridge(convention)) return {count.sum()};
  // Forward and dgrad of everything, wgrad of the adapters only (AutoModel's flops_utils.py).
  const double trained = (2 + part.trainable_fraction) / 3;
  if (flops::scales_attention(convention)) return {trained * count.sum()};
  return {trained * count.weights + count.attention};
}

}  // namespace models
