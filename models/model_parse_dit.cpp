#include <string>

#include "models/model_parse.h"

namespace models::parse {

Model wan(const hw::Node& node) {
  node.only({"source", "notes", "model_type", "architectures", "hidden_size", "intermediate_size", "num_hidden_layers",
             "num_attention_heads", "num_key_value_heads", "head_dim", "in_channels", "out_channels", "patch_t",
             "patch_hw", "freq_dim", "text_len", "text_dim"});
  Model model;
  model.hidden = width(node, "hidden_size");
  model.norm = Norm::layer;
  AttentionSpec attention = grouped_query(node, model.hidden, false, false);
  if (attention.kv_heads != attention.heads) node.at("num_key_value_heads").fail("must equal num_attention_heads");
  if (static_cast<std::int64_t>(attention.heads) * attention.head_dim != model.hidden)
    node.at("head_dim").fail("times num_attention_heads must equal hidden_size (" + std::to_string(model.hidden) + ")");
  attention.qk_norm = attention.qkv_bias = attention.out_bias = true;
  attention.causal = false;
  const MlpSpec mlp{
      .ffn = width(node, "intermediate_size"), .gated = false, .bias = true, .activation = Activation::gelu};
  const int layers = count(node, "num_hidden_layers");
  for (int i = 0; i < layers; ++i) add_layer(model, LayerSpec{.attention = attention, .mlp = mlp});
  for (const char* key : {"patch_t", "patch_hw"})
    if (count(node, key) > kMaxPatch) node.at(key).fail("must be at most " + std::to_string(kMaxPatch));
  model.dit = DitSpec{.text_dim = width(node, "text_dim"),
                      .text_len = count(node, "text_len"),
                      .in_channels = count(node, "in_channels"),
                      .out_channels = count(node, "out_channels"),
                      .patch_t = count(node, "patch_t"),
                      .patch_hw = count(node, "patch_hw"),
                      .freq_dim = width(node, "freq_dim")};
  return model;
}

}  // namespace models::parse
