#include <algorithm>
#include <string>

#include "models/model_parse.h"

namespace models::parse {
namespace {

std::string at_most(std::int64_t limit) { return "must be at most " + std::to_string(limit); }

}  // namespace

std::int64_t width(const hw::Node& node, std::string_view key) {
  const hw::Node value = node.at(key);
  const std::int64_t n = value.positive_int64();
  if (n > kMaxWidth) value.fail(at_most(kMaxWidth));
  return n;
}

int count(const hw::Node& node, std::string_view key) {
  const hw::Node value = node.at(key);
  const int n = value.positive_int();
  if (n > kMaxCount) value.fail(at_most(kMaxCount));
  return n;
}

int count_or(const hw::Node& node, std::string_view key, int absent) {
  if (!node.has(key)) return absent;
  const hw::Node value = node.at(key);
  const int n = value.non_negative_int();
  if (n > kMaxCount) value.fail(at_most(kMaxCount));
  return n;
}

std::int64_t vocabulary(const hw::Node& node, std::string_view key) {
  const hw::Node value = node.at(key);
  const std::int64_t n = value.positive_int64();
  if (n > kMaxVocab) value.fail(at_most(kMaxVocab));
  return n;
}

bool flag(const hw::Node& node, std::string_view key, bool absent) {
  return node.has(key) ? node.at(key).boolean() : absent;
}

Activation activation(const hw::Node& node, std::string_view key, Activation absent) {
  if (!node.has(key)) return absent;
  switch (node.at(key).choice({"silu", "swish", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "relu2"})) {
    case 0:
    case 1: return Activation::silu;
    case 6: return Activation::relu2;
    default: return Activation::gelu;
  }
}

AttentionSpec grouped_query(const hw::Node& node, std::int64_t hidden, bool kv_required, bool dim_required) {
  AttentionSpec attention;
  attention.heads = count(node, "num_attention_heads");
  attention.kv_heads = attention.heads;
  if (kv_required || node.has("num_key_value_heads")) attention.kv_heads = count(node, "num_key_value_heads");
  if (attention.heads % attention.kv_heads != 0)
    node.at("num_key_value_heads").fail("must divide num_attention_heads (" + std::to_string(attention.heads) + ")");
  if (dim_required || node.has("head_dim")) {
    attention.head_dim = count(node, "head_dim");
  } else {
    if (hidden % attention.heads != 0)
      node.at("num_attention_heads").fail("must divide hidden_size (" + std::to_string(hidden) + ") without head_dim");
    attention.head_dim = static_cast<int>(hidden / attention.heads);
    if (attention.head_dim > kMaxCount)
      node.at("num_attention_heads").fail("gives a head_dim above " + std::to_string(kMaxCount));
  }
  attention.v_head_dim = attention.head_dim;
  return attention;
}

MoeSpec experts(const hw::Node& node, std::string_view experts_key, std::string_view top_k_key) {
  MoeSpec moe;
  moe.experts = count(node, experts_key);
  moe.top_k = count(node, top_k_key);
  if (moe.top_k > moe.experts)
    node.at(top_k_key).fail("must not exceed " + std::string(experts_key) + " (" + std::to_string(moe.experts) + ")");
  return moe;
}

int add_kind(Model& model, const LayerSpec& layer) {
  const auto found = std::find(model.kinds.begin(), model.kinds.end(), layer);
  if (found != model.kinds.end()) return static_cast<int>(found - model.kinds.begin());
  model.kinds.push_back(layer);
  return static_cast<int>(model.kinds.size()) - 1;
}

int add_layer(Model& model, const LayerSpec& layer) {
  const int kind = add_kind(model, layer);
  model.layers.push_back(kind);
  return kind;
}

Model decoder(const hw::Node& node) {
  Model model;
  model.hidden = width(node, "hidden_size");
  model.vocab = vocabulary(node, "vocab_size");
  model.tied_embeddings = flag(node, "tie_word_embeddings", false);
  return model;
}

int mtp_depth(const hw::Node& node) {
  const std::string_view key = node.has("mtp_depth") ? "mtp_depth" : "num_nextn_predict_layers";
  const int depth = count_or(node, key, 0);
  if (depth > kMaxMtpDepth) node.at(key).fail(at_most(kMaxMtpDepth));
  return depth;
}

}  // namespace models::parse
