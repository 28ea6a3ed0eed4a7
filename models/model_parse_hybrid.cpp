#include <string>

#include "models/model_parse.h"

namespace models::parse {
namespace {

/// The pattern, one letter a layer, from a text (`MEM*E`) or from a list of block types as newer configs have it.
std::string pattern(const hw::Node& node, std::string_view text_key, std::string_view list_key) {
  if (node.has(text_key) || !node.has(list_key)) {
    const hw::Node value = node.at(text_key);
    const std::string letters = value.text();
    if (letters.find_first_not_of("M*E-") != std::string::npos)
      value.fail("must consist of M (Mamba-2), * (attention), E (experts) and - (MLP)");
    return letters;
  }
  std::string letters;
  for (const hw::Node& type : node.at(list_key).elements())
    letters += std::string_view("M*E-")[static_cast<std::size_t>(type.choice({"mamba", "attention", "moe", "mlp"}))];
  if (letters.empty()) node.at(list_key).fail("must not be empty");
  return letters;
}

AttentionSpec attention(const hw::Node& node, std::int64_t hidden) {
  AttentionSpec result = grouped_query(node, hidden, true, !node.has("attention_head_dim"));
  if (node.has("attention_head_dim")) result.head_dim = result.v_head_dim = count(node, "attention_head_dim");
  result.qkv_bias = result.out_bias = flag(node, "attention_bias", false);
  return result;
}

MambaSpec mamba(const hw::Node& node) {
  MambaSpec result;
  result.heads = count(node, "mamba_num_heads");
  result.head_dim = count(node, "mamba_head_dim");
  result.state = count(node, "ssm_state_size");
  result.groups = count(node, "n_groups");
  result.conv_kernel = count(node, "conv_kernel");
  if (result.heads % result.groups != 0)
    node.at("n_groups").fail("must divide mamba_num_heads (" + std::to_string(result.heads) + ")");
  return result;
}

MoeSpec moe(const hw::Node& node) {
  MoeSpec result = experts(node, "n_routed_experts", "num_experts_per_tok");
  result.expert_ffn = width(node, "moe_intermediate_size");
  if (count_or(node, "n_shared_experts", 0) > 0)
    result.shared_ffn = node.at("n_shared_experts").positive_int() * width(node, "moe_shared_expert_intermediate_size");
  if (result.shared_ffn > kMaxWidth)
    node.at("n_shared_experts").fail("gives a shared expert wider than " + std::to_string(kMaxWidth));
  result.normalised = flag(node, "norm_topk_prob", true);
  if (node.has("routed_scaling_factor")) result.scaling = node.at("routed_scaling_factor").positive();
  if (node.has("moe_latent_size")) result.latent = width(node, "moe_latent_size");
  result.activation = activation(node, "mlp_hidden_act", Activation::relu2);
  result.gated = false;
  result.bias = false;
  result.router = Router::sigmoid_bias;
  return result;
}

LayerSpec layer_of(const hw::Node& node, std::int64_t hidden, char letter) {
  LayerSpec layer;
  switch (letter) {
    case 'M': layer.mamba = mamba(node); break;
    case '*': layer.attention = attention(node, hidden); break;
    case 'E': layer.moe = moe(node); break;
    default:
      layer.mlp = MlpSpec{.ffn = width(node, "intermediate_size"),
                          .gated = false,
                          .bias = flag(node, "mlp_bias", false),
                          .activation = activation(node, "mlp_hidden_act", Activation::relu2)};
  }
  return layer;
}

}  // namespace

Model nemotron_h(const hw::Node& node) {
  Model model = decoder(node);
  model.position = Position::none;
  const int layers = count(node, "num_hidden_layers");
  const std::string letters = pattern(node, "hybrid_override_pattern", "layers_block_type");
  if (static_cast<int>(letters.size()) != layers) {
    const bool text = node.has("hybrid_override_pattern");
    node.at(text ? "hybrid_override_pattern" : "layers_block_type")
        .fail("must have num_hidden_layers (" + std::to_string(layers) + ") entries");
  }
  for (const char letter : letters) add_layer(model, layer_of(node, model.hidden, letter));
  model.mtp.depth = mtp_depth(node);
  if (model.mtp.depth == 0) return model;
  model.mtp.shared = true;
  for (const char letter : pattern(node, "mtp_hybrid_override_pattern", "mtp_layers_block_type"))
    model.mtp.kinds.push_back(add_kind(model, layer_of(node, model.hidden, letter)));
  return model;
}

}  // namespace models::parse
