#include <cmath>
#include <string>

#include "models/model_parse.h"

namespace models::parse {
namespace {

/// GPT-2's own key, or the alias that transformers gives it.
std::string_view either(const hw::Node& node, std::string_view own, std::string_view alias) {
  return !node.has(own) && node.has(alias) ? alias : own;
}

/// The decoder of the Llama family: RMSNorm, rotary positions, gated MLP, layers all alike.
Model llama_like(const hw::Node& node, const AttentionSpec& attention, bool mlp_bias) {
  Model model = decoder(node);
  MlpSpec mlp{.ffn = width(node, "intermediate_size"), .gated = true, .bias = mlp_bias};
  mlp.activation = activation(node, "hidden_act", Activation::silu);
  const int layers = count(node, "num_hidden_layers");
  for (int i = 0; i < layers; ++i) add_layer(model, LayerSpec{.attention = attention, .mlp = mlp});
  return model;
}

/// Qwen's `use_sliding_window`: layers from `max_window_layers` on see `sliding_window` keys.
void apply_qwen_window(const hw::Node& node, Model& model) {
  if (!flag(node, "use_sliding_window", false)) return;
  const int window = node.at("sliding_window").positive_int();
  const int first = node.at("max_window_layers").non_negative_int();
  for (int i = first; i < static_cast<int>(model.layers.size()); ++i) {
    LayerSpec layer = model.kinds[static_cast<std::size_t>(model.layers[static_cast<std::size_t>(i)])];
    layer.attention->window = window;
    model.layers[static_cast<std::size_t>(i)] = add_kind(model, layer);
  }
}

AttentionSpec gpt2_attention(const hw::Node& node, std::int64_t hidden) {
  AttentionSpec attention;
  const std::string_view heads_key = either(node, "n_head", "num_attention_heads");
  attention.heads = count(node, heads_key);
  attention.kv_heads = count_or(node, "num_key_value_heads", attention.heads);
  if (attention.kv_heads == 0 || attention.heads % attention.kv_heads != 0)
    node.at("num_key_value_heads")
        .fail("must divide " + std::string(heads_key) + " (" + std::to_string(attention.heads) + ")");
  if (node.has("head_dim")) {
    attention.head_dim = count(node, "head_dim");
  } else if (hidden % attention.heads != 0 || hidden / attention.heads > kMaxCount) {
    node.at(heads_key).fail("must divide the hidden width (" + std::to_string(hidden) + ") without head_dim");
  } else {
    attention.head_dim = static_cast<int>(hidden / attention.heads);
  }
  attention.v_head_dim = attention.head_dim;
  attention.qkv_bias = attention.out_bias = true;
  return attention;
}

/// `attn_config` of MPT: alibi, kv_n_heads, qk_ln.
AttentionSpec mpt_attention(const hw::Node& node, std::int64_t hidden, bool bias) {
  AttentionSpec attention;
  attention.heads = attention.kv_heads = count(node, "n_heads");
  if (hidden % attention.heads != 0 || hidden / attention.heads > kMaxCount)
    node.at("n_heads").fail("must divide d_model (" + std::to_string(hidden) + ")");
  attention.head_dim = attention.v_head_dim = static_cast<int>(hidden / attention.heads);
  attention.qkv_bias = attention.out_bias = bias;
  const auto config = node.find("attn_config");
  if (!config) return attention;
  if (flag(*config, "qk_ln", false)) config->at("qk_ln").fail("must be false: MPT's QK LayerNorm is not modelled");
  if (config->has("attn_type") && config->at("attn_type").text() == "multiquery_attention") attention.kv_heads = 1;
  if (config->has("kv_n_heads")) attention.kv_heads = count(*config, "kv_n_heads");
  if (attention.heads % attention.kv_heads != 0)
    config->at("kv_n_heads").fail("must divide n_heads (" + std::to_string(attention.heads) + ")");
  return attention;
}

/// `expansion_ratio` times d_model, which must come out whole (MPT allows fractions).
std::int64_t mpt_ffn(const hw::Node& node, std::int64_t hidden) {
  const double ffn = static_cast<double>(hidden) * node.at("expansion_ratio").positive();
  if (ffn < 1 || ffn > static_cast<double>(kMaxWidth) || ffn != std::floor(ffn))
    node.at("expansion_ratio").fail("must give a whole ffn width of at most " + std::to_string(kMaxWidth));
  return static_cast<std::int64_t>(ffn);
}

}  // namespace

Model gpt2(const hw::Node& node) {
  Model model;
  model.hidden = width(node, either(node, "n_embd", "hidden_size"));
  model.vocab = vocabulary(node, "vocab_size");
  model.tied_embeddings = flag(node, "tie_word_embeddings", true);
  model.norm = Norm::layer;
  model.position = Position::learned;
  model.learned_positions = vocabulary(node, either(node, "n_positions", "max_position_embeddings"));
  const std::string_view ffn_key = either(node, "n_inner", "intermediate_size");
  MlpSpec mlp{.ffn = node.has(ffn_key) ? width(node, ffn_key) : 4 * model.hidden, .gated = false, .bias = true};
  mlp.activation = activation(node, either(node, "activation_function", "hidden_act"), Activation::gelu);
  const AttentionSpec attention = gpt2_attention(node, model.hidden);
  const int layers = count(node, either(node, "n_layer", "num_hidden_layers"));
  for (int i = 0; i < layers; ++i) add_layer(model, LayerSpec{.attention = attention, .mlp = mlp});
  return model;
}

Model mpt(const hw::Node& node) {
  Model model;
  model.hidden = width(node, "d_model");
  model.vocab = vocabulary(node, "vocab_size");
  model.tied_embeddings = flag(node, "tie_word_embeddings", true);
  model.norm = Norm::layer;
  const bool bias = !flag(node, "no_bias", true);
  model.norm_bias = bias;
  const auto config = node.find("attn_config");
  const bool alibi = config && flag(*config, "alibi", false);
  const bool rotary = config && flag(*config, "rope", false);
  model.position = rotary ? Position::rotary : Position::none;
  if (!alibi && !rotary && flag(node, "learned_pos_emb", true)) {
    model.position = Position::learned;
    model.learned_positions = vocabulary(node, "max_seq_len");
  }
  const MlpSpec mlp{.ffn = mpt_ffn(node, model.hidden), .gated = false, .bias = bias, .activation = Activation::gelu};
  const AttentionSpec attention = mpt_attention(node, model.hidden, bias);
  const int layers = count(node, "n_layers");
  for (int i = 0; i < layers; ++i) add_layer(model, LayerSpec{.attention = attention, .mlp = mlp});
  return model;
}

Model llama(const hw::Node& node) {
  AttentionSpec attention = grouped_query(node, width(node, "hidden_size"), false, false);
  attention.qkv_bias = attention.out_bias = flag(node, "attention_bias", false);
  return llama_like(node, attention, flag(node, "mlp_bias", false));
}

Model mistral(const hw::Node& node) {
  AttentionSpec attention = grouped_query(node, width(node, "hidden_size"), true, false);
  if (node.has("sliding_window")) attention.window = node.at("sliding_window").positive_int();
  return llama_like(node, attention, false);
}

Model qwen2(const hw::Node& node) {
  AttentionSpec attention = grouped_query(node, width(node, "hidden_size"), true, false);
  attention.qkv_bias = true;  // always in Qwen2: no key switches it
  Model model = llama_like(node, attention, false);
  apply_qwen_window(node, model);
  return model;
}

Model qwen3(const hw::Node& node) {
  AttentionSpec attention = grouped_query(node, width(node, "hidden_size"), true, true);
  attention.qk_norm = true;
  attention.qkv_bias = attention.out_bias = flag(node, "attention_bias", false);
  Model model = llama_like(node, attention, false);
  apply_qwen_window(node, model);
  return model;
}

}  // namespace models::parse
