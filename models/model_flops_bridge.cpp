#include <cmath>

#include "models/model_flops_parts.h"

// Megatron-Bridge, src/megatron/bridge/training/utils/flop_utils.py. Per token, forward and backward.
namespace models::flops {
namespace {

double padded_vocab(const Model& model, int tp) {
  const double multiple = static_cast<double>(model.vocab_divisor) * tp;
  return std::ceil(static_cast<double>(model.vocab) / multiple) * multiple;
}

/// Matrices of an MLP: 3 if gated. Up to 26.04.01 only SiLU counted as gated.
double matrices(bool gated, Activation activation, bool glu_only_silu) {
  return gated && !(glu_only_silu && activation != Activation::silu) ? 3 : 2;
}

/// Bridge adds one FLOP pair per channel of MLA's two latent norms to the projections.
double mla_norms(const AttentionSpec& a) { return a.mla ? a.mla->q_lora_rank + a.mla->kv_lora_rank : 0; }

PerToken layer_flops(const Model& model, const LayerSpec& layer, double seq_len, bool old) {
  const double h = static_cast<double>(model.hidden);
  PerToken flops;
  if (layer.attention) {
    AttentionSpec a = *layer.attention;
    if (old) a.window = 0;
    flops.weights += 6 * (projection_weights(h, a) + mla_norms(a));
    flops.attention += 6.0 * a.heads * (a.head_dim + a.v_head_dim) * mean_keys(a, seq_len, true);
  }
  if (layer.mlp) {
    const MlpSpec& mlp = *layer.mlp;
    flops.weights += 6 * h * matrices(mlp.gated, mlp.activation, old) * static_cast<double>(mlp.ffn);
  }
  if (layer.moe) {  // the router is not counted
    const MoeSpec& moe = *layer.moe;
    const double latent = static_cast<double>(moe.latent), e = matrices(moe.gated, moe.activation, old);
    const double routed = moe.top_k * static_cast<double>(moe.expert_ffn) * (latent > 0 ? latent : h);
    flops.weights += 6 * (e * (routed + h * static_cast<double>(moe.shared_ffn)) + 2 * latent * h);
  }
  return flops;
}

PerToken gpt(const Model& model, double seq_len, double vocab, bool old) {
  const double h = static_cast<double>(model.hidden), depth = model.mtp.depth;
  const std::vector<double> count = passes(model, true);
  PerToken sum;
  for (std::size_t kind = 0; kind < model.kinds.size(); ++kind) {
    const PerToken layer = layer_flops(model, model.kinds[kind], seq_len, old);
    sum.weights += count[kind] * layer.weights;
    sum.attention += count[kind] * layer.attention;
  }
  sum.weights += 6 * depth * (3 * h + 2 * h * h) + 6 * h * vocab * (1 + depth);
  return sum;
}

/// Forward FLOPs of one hybrid layer. Mamba's inner width is taken as 2h, whatever the model's own is.
PerToken hybrid_layer(double h, const LayerSpec& layer, double seq_len) {
  PerToken forward;
  if (layer.attention) {
    const AttentionSpec& a = *layer.attention;
    const double q = double(a.head_dim) * a.heads;  // p h in flop_utils.py
    forward.weights += 4 * q * (h + h * a.kv_heads / a.heads);
    forward.attention += 2 * q * seq_len;
  }
  if (layer.mamba) {
    const MambaSpec& m = *layer.mamba;
    const double inner = 2 * h, state = m.state;
    forward.weights += 2 * h * (2 * inner + 2 * m.groups * state + m.heads) + 7 * inner * state + 2 * inner * h;
  }
  if (layer.mlp) forward.weights += 4 * (layer.mlp->gated ? 1.5 : 1) * h * static_cast<double>(layer.mlp->ffn);
  if (layer.moe) {
    const MoeSpec& moe = *layer.moe;
    const double scale = moe.gated ? 1.5 : 1, latent = static_cast<double>(moe.latent);
    forward.weights += 4 * scale * (latent > 0 ? latent : h) * static_cast<double>(moe.expert_ffn) * moe.top_k +
                       4 * h * latent + 4 * scale * h * static_cast<double>(moe.shared_ffn);
  }
  return forward;
}

PerToken hybrid(const Model& model, double seq_len, double vocab) {
  const double h = static_cast<double>(model.hidden);
  const std::vector<double> count = passes(model, true);
  PerToken sum;
  for (std::size_t kind = 0; kind < model.kinds.size(); ++kind) {
    const PerToken forward = hybrid_layer(h, model.kinds[kind], seq_len);
    sum.weights += 3 * count[kind] * forward.weights;
    sum.attention += 3 * count[kind] * forward.attention;
  }
  sum.weights += 6 * h * vocab * (1 + model.mtp.depth);
  return sum;
}

}  // namespace

PerToken megatron_bridge(const Model& model, double seq_len, int tp, bool glu_only_silu) {
  if (model.dit) return diffusion_transformer(model, seq_len);
  const double vocab = padded_vocab(model, tp);
  return model.hybrid() ? hybrid(model, seq_len, vocab) : gpt(model, seq_len, vocab, glu_only_silu);
}

double megatron_bridge_lora(const Model& model, double seq_len, double mean_square) {
  const AttentionSpec& a = *model.kinds.front().attention;
  const double h = static_cast<double>(model.hidden), layers = static_cast<double>(model.layers.size());
  const double vocab = static_cast<double>(model.vocab), ffn = static_cast<double>(model.kinds.front().mlp->ffn);
  const double frozen = layers * h * h * (12 + 12.0 * a.kv_heads / a.heads + 18 * ffn / h + 6 * vocab / (layers * h));
  const double squares = mean_square > 0 ? mean_square : seq_len * seq_len;
  return frozen * 2 / 3 + 12 * layers * h * squares / seq_len;
}

}  // namespace models::flops
