#include "models/model_flops_parts.h"

// AutoModel, nemo_automodel/components/utils/flops_utils.py. Per token, forward and backward.
namespace models::flops {
namespace {

double number(std::int64_t n) { return static_cast<double>(n); }

/// llama2_flops: heads * head_dim is taken as hidden.
PerToken llama(const Model& model, double seq_len) {
  const double h = number(model.hidden);
  PerToken sum{.weights = 6 * h * number(model.vocab)};
  for (const int kind : model.layers) {
    const LayerSpec& layer = model.kinds[static_cast<std::size_t>(kind)];
    const AttentionSpec& a = *layer.attention;
    sum.weights += h * h * (12 + 12.0 * a.kv_heads / a.heads) + 18 * h * number(layer.mlp->ffn);
    sum.attention += 6 * h * seq_len;
  }
  return sum;
}

/// qwen3_flops: no router, no shared expert. Before 2025-10-08 head_dim was hidden / heads.
PerToken qwen(const Model& model, double seq_len, bool head_dim_known) {
  const double h = number(model.hidden);
  PerToken sum{.weights = 6 * h * number(model.vocab)};
  for (const int kind : model.layers) {
    const LayerSpec& layer = model.kinds[static_cast<std::size_t>(kind)];
    const AttentionSpec& a = *layer.attention;
    const double q = head_dim_known ? double(a.heads) * a.head_dim : h;
    sum.weights += 6 * h * q * (2.0 * a.kv_heads / a.heads + 2);
    sum.weights += 18 * h * (layer.moe ? layer.moe->top_k * number(layer.moe->expert_ffn) : number(layer.mlp->ffn));
    sum.attention += 6 * q * seq_len;
  }
  return sum;
}

/// deepseekv3_flops: no router, no MTP (the configs' num_nextn_predict_layers is not read).
PerToken deepseek(const Model& model, double seq_len) {
  const double h = number(model.hidden);
  PerToken sum{.weights = 6 * h * number(model.vocab)};
  for (const int kind : model.layers) {
    const LayerSpec& layer = model.kinds[static_cast<std::size_t>(kind)];
    const AttentionSpec& a = *layer.attention;
    sum.weights += 6 * projection_weights(h, a);
    if (layer.mlp) sum.weights += 18 * h * number(layer.mlp->ffn);
    if (layer.moe)
      sum.weights += 18 * h * (layer.moe->top_k * number(layer.moe->expert_ffn) + number(layer.moe->shared_ffn));
    sum.attention += 3.0 * a.heads * (a.head_dim + a.v_head_dim) * seq_len;
  }
  return sum;
}

/// gpt_oss_flops: exact sums over the mask. Until 2026-07-15 head_dim was hidden / heads, rounded down.
PerToken gpt_oss(const Model& model, double seq_len, bool head_dim_known) {
  const double h = number(model.hidden);
  PerToken sum{.weights = 6 * h * number(model.vocab)};
  for (const int kind : model.layers) {
    const LayerSpec& layer = model.kinds[static_cast<std::size_t>(kind)];
    const AttentionSpec& a = *layer.attention;
    const double d = head_dim_known ? a.head_dim : number(model.hidden / a.heads);
    const double w = a.window;
    const bool windowed = w > 0 && w < seq_len;
    const double pairs = windowed ? w * (w + 1) / 2 + (seq_len - w) * w : seq_len * (seq_len + 1) / 2;
    sum.weights +=
        6 * h * d * (2.0 * a.heads + 2.0 * a.kv_heads) + 18 * h * layer.moe->top_k * number(layer.moe->expert_ffn);
    sum.attention += 12 * a.heads * d * pairs / seq_len;
  }
  return sum;
}

/// One layer of nemotronh_flops: attention of width hidden, whatever heads * head_dim is; the router is counted.
PerToken nemotron_layer(double h, const LayerSpec& layer, double seq_len, double scan) {
  PerToken flops;
  if (layer.attention) {
    flops.weights += 6 * h * (2 * h + 2 * h * layer.attention->kv_heads / layer.attention->heads);
    flops.attention += 6 * h * seq_len;
  }
  if (layer.mamba) {
    const MambaSpec& m = *layer.mamba;
    const double inner = double(m.heads) * m.head_dim, state = m.state;
    flops.weights += 6 * h * (2 * inner + 2 * m.groups * state + m.heads) + scan * inner * state + 6 * inner * h;
  }
  if (layer.moe) {
    const MoeSpec& moe = *layer.moe;
    const double latent = number(moe.latent);
    flops.weights += 12 * moe.top_k * (latent > 0 ? latent : h) * number(moe.expert_ffn) +
                     12 * h * number(moe.shared_ffn) + 6 * h * moe.experts + 12 * h * latent;
  }
  if (layer.mlp) flops.weights += 12 * h * number(layer.mlp->ffn);
  return flops;
}

PerToken nemotron(const Model& model, double seq_len, bool full_scan) {
  const double h = number(model.hidden), depth = model.mtp.depth;
  const std::vector<double> count = passes(model, true);
  PerToken sum{.weights = (1 + depth) * 6 * h * number(model.vocab) + depth * 12 * h * h};
  for (std::size_t kind = 0; kind < model.kinds.size(); ++kind) {
    const PerToken layer = nemotron_layer(h, model.kinds[kind], seq_len, full_scan ? 21 : 6);
    sum.weights += count[kind] * layer.weights;
    sum.attention += count[kind] * layer.attention;
  }
  return sum;
}

}  // namespace

PerToken automodel(const Model& model, double seq_len, AutomodelEra era) {
  const bool current = era == AutomodelEra::current;
  const std::string& type = model.architecture;
  if (model.dit) return dfm(model, seq_len);  // printed without a formula; read as DFM's
  if (type == "llama") return llama(model, seq_len);
  if (type == "qwen2" || type == "qwen3" || type == "qwen3_moe")
    return qwen(model, seq_len, era != AutomodelEra::until_2025_10);
  if (type == "deepseek_v2" || type == "deepseek_v3" || type == "kimi_k2") return deepseek(model, seq_len);
  if (type == "gpt_oss") return gpt_oss(model, seq_len, current);
  if (type == "nemotron_h") return nemotron(model, seq_len, current);
  return every_matmul(model, seq_len, true);
}

}  // namespace models::flops
