#include <algorithm>
#include <string>
#include <vector>

#include "models/model_parse.h"

namespace models::parse {
namespace {

/// Per layer whether it slides, from `layer_types`; without that key every other layer slides, the first one too
/// (transformers' default for GPT-OSS).
std::vector<bool> sliding_layers(const hw::Node& node, int layers) {
  std::vector<bool> sliding;
  if (!node.has("layer_types")) {
    for (int i = 0; i < layers; ++i) sliding.push_back(i % 2 == 0);
    return sliding;
  }
  const hw::Node types = node.at("layer_types");
  for (const hw::Node& type : types.elements())
    sliding.push_back(type.choice({"full_attention", "sliding_attention"}) == 1);
  if (static_cast<int>(sliding.size()) != layers)
    types.fail("must have num_hidden_layers (" + std::to_string(layers) + ") entries");
  return sliding;
}

/// Layers of Qwen3-MoE that keep a dense MLP: those that `decoder_sparse_step` skips or `mlp_only_layers` lists.
std::vector<bool> dense_layers(const hw::Node& node, int layers) {
  const int step = node.has("decoder_sparse_step") ? count(node, "decoder_sparse_step") : 1;
  std::vector<bool> dense;
  dense.reserve(static_cast<std::size_t>(layers));
  for (int i = 0; i < layers; ++i) dense.push_back((i + 1) % step != 0);
  if (!node.has("mlp_only_layers")) return dense;
  for (const hw::Node& layer : node.at("mlp_only_layers").elements()) {
    const int i = layer.non_negative_int();
    if (i >= layers) layer.fail("must be below num_hidden_layers (" + std::to_string(layers) + ")");
    dense[static_cast<std::size_t>(i)] = true;
  }
  return dense;
}

AttentionSpec latent_attention(const hw::Node& node) {
  Mla mla;
  if (node.has("q_lora_rank")) mla.q_lora_rank = static_cast<int>(width(node, "q_lora_rank"));
  mla.kv_lora_rank = static_cast<int>(width(node, "kv_lora_rank"));
  mla.qk_nope = count(node, "qk_nope_head_dim");
  mla.qk_rope = count(node, "qk_rope_head_dim");
  mla.v_head = count(node, "v_head_dim");
  AttentionSpec attention;
  attention.heads = attention.kv_heads = count(node, "num_attention_heads");
  if (node.has("num_key_value_heads") && count(node, "num_key_value_heads") != attention.heads)
    node.at("num_key_value_heads")
        .fail("must equal num_attention_heads (" + std::to_string(attention.heads) + ") in MLA");
  attention.head_dim = mla.qk_nope + mla.qk_rope;
  attention.v_head_dim = mla.v_head;
  attention.qk_norm = true;  // of the two latents, where DeepSeek places its RMSNorms
  attention.mla = mla;
  return attention;
}

MoeSpec deepseek_experts(const hw::Node& node) {
  MoeSpec moe = experts(node, "n_routed_experts", "num_experts_per_tok");
  moe.groups = std::max(1, count_or(node, "n_group", 1));
  moe.top_groups = std::max(1, count_or(node, "topk_group", moe.groups));
  if (moe.experts % moe.groups != 0)
    node.at("n_group").fail("must divide n_routed_experts (" + std::to_string(moe.experts) + ")");
  if (moe.top_groups > moe.groups)
    node.at("topk_group").fail("must be at most n_group (" + std::to_string(moe.groups) + ")");
  if (moe.top_k > moe.top_groups * (moe.experts / moe.groups))
    node.at("topk_group").fail("must hold num_experts_per_tok (" + std::to_string(moe.top_k) + ") experts");
  moe.expert_ffn = width(node, "moe_intermediate_size");
  moe.shared_ffn = count_or(node, "n_shared_experts", 0) * moe.expert_ffn;
  if (moe.shared_ffn > kMaxWidth)
    node.at("n_shared_experts").fail("gives a shared expert wider than " + std::to_string(kMaxWidth));
  // sigmoid comes with the correction bias that steers balance (noaux_tc); DeepSeek-V2 has softmax without one
  const bool sigmoid = node.has("scoring_func") && node.at("scoring_func").choice({"softmax", "sigmoid"}) == 1;
  moe.router = sigmoid ? Router::sigmoid_bias : Router::softmax;
  moe.normalised = flag(node, "norm_topk_prob", sigmoid);
  if (node.has("routed_scaling_factor")) moe.scaling = node.at("routed_scaling_factor").positive();
  moe.activation = activation(node, "hidden_act", Activation::silu);
  return moe;
}

}  // namespace

Model mixtral(const hw::Node& node) {
  Model model = decoder(node);
  AttentionSpec attention = grouped_query(node, model.hidden, true, false);
  if (node.has("sliding_window")) attention.window = node.at("sliding_window").positive_int();
  MoeSpec moe = experts(node, "num_local_experts", "num_experts_per_tok");
  moe.router = Router::softmax_of_chosen;
  moe.expert_ffn = width(node, "intermediate_size");
  moe.activation = activation(node, "hidden_act", Activation::silu);
  const int layers = count(node, "num_hidden_layers");
  for (int i = 0; i < layers; ++i) add_layer(model, LayerSpec{.attention = attention, .moe = moe});
  return model;
}

Model qwen3_moe(const hw::Node& node) {
  Model model = decoder(node);
  AttentionSpec attention = grouped_query(node, model.hidden, true, true);
  attention.qk_norm = true;
  attention.qkv_bias = attention.out_bias = flag(node, "attention_bias", false);
  if (flag(node, "use_sliding_window", false)) attention.window = node.at("sliding_window").positive_int();
  MoeSpec moe = experts(node, "num_experts", "num_experts_per_tok");
  moe.expert_ffn = width(node, "moe_intermediate_size");
  moe.normalised = flag(node, "norm_topk_prob", false);
  moe.activation = activation(node, "hidden_act", Activation::silu);
  const int layers = count(node, "num_hidden_layers");
  for (const bool dense : dense_layers(node, layers)) {
    LayerSpec layer{.attention = attention};
    if (dense) layer.mlp = MlpSpec{.ffn = width(node, "intermediate_size"), .activation = moe.activation};
    else layer.moe = moe;
    add_layer(model, layer);
  }
  return model;
}

Model gpt_oss(const hw::Node& node) {
  Model model = decoder(node);
  AttentionSpec attention = grouped_query(node, model.hidden, true, true);
  attention.qkv_bias = attention.out_bias = flag(node, "attention_bias", true);
  attention.sinks = true;
  MoeSpec moe = experts(node, "num_local_experts", "num_experts_per_tok");
  moe.expert_ffn = width(node, "intermediate_size");
  moe.bias = moe.router_bias = true;
  moe.router = Router::softmax_of_chosen;
  moe.activation = Activation::swiglu_clamped;
  const int window = node.at("sliding_window").positive_int();
  for (const bool slides : sliding_layers(node, count(node, "num_hidden_layers"))) {
    attention.window = slides ? window : 0;
    add_layer(model, LayerSpec{.attention = attention, .moe = moe});
  }
  return model;
}

Model deepseek(const hw::Node& node) {
  Model model = decoder(node);
  const LayerSpec sparse{.attention = latent_attention(node), .moe = deepseek_experts(node)};
  const int layers = count(node, "num_hidden_layers");
  const int first_dense = count_or(node, "first_k_dense_replace", 0);
  if (first_dense > layers)
    node.at("first_k_dense_replace").fail("must not exceed num_hidden_layers (" + std::to_string(layers) + ")");
  const int frequency = node.has("moe_layer_freq") ? count(node, "moe_layer_freq") : 1;
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer = sparse;
    if (i < first_dense || i % frequency != 0) {
      layer.moe.reset();
      layer.mlp = MlpSpec{.ffn = width(node, "intermediate_size"), .activation = sparse.moe->activation};
    }
    add_layer(model, layer);
  }
  model.mtp.depth = mtp_depth(node);
  if (model.mtp.depth > 0) model.mtp.kinds = {model.layers.back()};
  return model;
}

}  // namespace models::parse
