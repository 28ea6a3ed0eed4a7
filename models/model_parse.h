#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hw/node.h"
#include "models/model.h"

/// What the readers of single architectures share. Only model_parse*.cpp include this.
namespace models::parse {

// Largest values that are taken for dimensions. Parameter counts of any model within them fit 63 bits.
inline constexpr std::int64_t kMaxWidth = 262'144;
inline constexpr std::int64_t kMaxVocab = 16'777'216;
inline constexpr int kMaxCount = 4096;
inline constexpr int kMaxMtpDepth = 16;
inline constexpr int kMaxPatch = 64;

/// A width (hidden, ffn, rank): 1 to kMaxWidth. Throws InputError, also where the key is missing.
std::int64_t width(const hw::Node& node, std::string_view key);
/// A number of layers, heads, experts, or a head's width: 1 to kMaxCount.
int count(const hw::Node& node, std::string_view key);
/// The same, `absent` where the key is missing; zero is allowed.
int count_or(const hw::Node& node, std::string_view key, int absent);
std::int64_t vocabulary(const hw::Node& node, std::string_view key);
/// A boolean, `absent` (the architecture's default in Hugging Face transformers) where the key is missing.
bool flag(const hw::Node& node, std::string_view key, bool absent);
/// The activation that `key` names, `absent` where the key is missing. Throws InputError on others.
Activation activation(const hw::Node& node, std::string_view key, Activation absent);

/// Grouped-query attention of `num_attention_heads`, `num_key_value_heads`, `head_dim`.
///   kv_required   else a missing num_key_value_heads means as many as heads
///   dim_required  else a missing head_dim means hidden_size / num_attention_heads
AttentionSpec grouped_query(const hw::Node& node, std::int64_t hidden, bool kv_required, bool dim_required);

/// `experts` and `top_k` from two keys; refuses top_k > experts.
MoeSpec experts(const hw::Node& node, std::string_view experts_key, std::string_view top_k_key);

/// Appends a layer, reusing an equal kind. Returns its kind.
int add_layer(Model& model, const LayerSpec& layer);
/// Index of an equal kind, added if there is none, without a layer.
int add_kind(Model& model, const LayerSpec& layer);

/// Keys that all Hugging Face decoders share: hidden_size, vocab_size, tie_word_embeddings (false if absent).
Model decoder(const hw::Node& node);

/// Depth of multi-token prediction: `mtp_depth` if there (0 = off), else `num_nextn_predict_layers`, else 0.
int mtp_depth(const hw::Node& node);

Model gpt2(const hw::Node& node);
Model mpt(const hw::Node& node);
Model llama(const hw::Node& node);
Model mistral(const hw::Node& node);
Model qwen2(const hw::Node& node);
Model qwen3(const hw::Node& node);
Model mixtral(const hw::Node& node);
Model qwen3_moe(const hw::Node& node);
Model gpt_oss(const hw::Node& node);
Model deepseek(const hw::Node& node);  ///< deepseek_v2, deepseek_v3, kimi_k2
Model nemotron_h(const hw::Node& node);
Model wan(const hw::Node& node);

}  // namespace models::parse
