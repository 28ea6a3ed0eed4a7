#include "models/model_parse.h"

#include <array>
#include <string>

namespace models {
namespace {

struct Architecture {
  std::string_view type;        ///< Hugging Face `model_type`
  std::string_view class_name;  ///< in `architectures`
  Model (*parse)(const hw::Node&);
};

constexpr std::array kSupported{
    Architecture{"gpt2", "GPT2LMHeadModel", parse::gpt2},
    Architecture{"llama", "LlamaForCausalLM", parse::llama},
    Architecture{"mistral", "MistralForCausalLM", parse::mistral},
    Architecture{"mixtral", "MixtralForCausalLM", parse::mixtral},
    Architecture{"qwen2", "Qwen2ForCausalLM", parse::qwen2},
    Architecture{"qwen3", "Qwen3ForCausalLM", parse::qwen3},
    Architecture{"qwen3_moe", "Qwen3MoeForCausalLM", parse::qwen3_moe},
    Architecture{"deepseek_v2", "DeepseekV2ForCausalLM", parse::deepseek},
    Architecture{"deepseek_v3", "DeepseekV3ForCausalLM", parse::deepseek},
    Architecture{"kimi_k2", "KimiK2ForCausalLM", parse::deepseek},
    Architecture{"gpt_oss", "GptOssForCausalLM", parse::gpt_oss},
    Architecture{"nemotron_h", "NemotronHForCausalLM", parse::nemotron_h},
    Architecture{"mpt", "MPTForCausalLM", parse::mpt},
    Architecture{"wan", "WanModel", parse::wan},
};

std::string supported_types() {
  std::string list;
  for (const Architecture& a : kSupported) list += (list.empty() ? "" : ", ") + std::string(a.type);
  return list;
}

/// Why a known architecture is not predicted; empty for those that are unknown.
std::string_view refusal(std::string_view type) {
  if (type == "deepseek_v4" || type == "DeepseekV4ForCausalLM") return "compressed sparse attention is not modelled";
  if (type == "qwen3_5_moe" || type == "qwen3_5_moe_text" || type == "Qwen3_5MoeForCausalLM" ||
      type == "Qwen3_5MoeForConditionalGeneration")
    return "gated delta layers are not modelled";
  return {};
}

const Architecture& architecture_of(const hw::Node& node) {
  if (!node.has("model_type") && !node.has("architectures"))
    node.fail("must have model_type or architectures, supported: " + supported_types());
  const bool by_type = node.has("model_type");
  const hw::Node where = by_type ? node.at("model_type") : node.at("architectures");
  if (!by_type && where.elements().size() != 1) where.fail("must name one architecture");
  const std::string name = by_type ? where.text() : where.elements().front().text();
  for (const Architecture& a : kSupported)
    if (name == (by_type ? a.type : a.class_name)) return a;
  const std::string_view reason = refusal(name);
  const std::string rule =
      reason.empty() ? "unknown architecture" : "unsupported architecture (" + std::string(reason) + ")";
  where.fail(rule + ", supported: " + supported_types());
}

/// The norms' epsilon under whichever of its names it has.
void read_epsilon(const hw::Node& node, Model& model) {
  model.norm_epsilon = model.norm == Norm::layer && !model.dit ? 1e-5 : 1e-6;  // WAN's LayerNorms have 1e-6
  for (const char* key : {"rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps", "norm_eps", "eps"})
    if (node.has(key)) model.norm_epsilon = node.at(key).positive();
}

}  // namespace

Model parse_model(const hw::Node& node, const std::string& name) {
  const Architecture& architecture = architecture_of(node);
  Model model = architecture.parse(node);
  model.name = name;
  model.architecture = architecture.type;
  read_epsilon(node, model);
  if (node.has("rope_theta")) model.rope_theta = node.at("rope_theta").positive();
  model.rope_scaling = node.has("rope_scaling");
  if (node.has("vocab_divisor")) {
    model.vocab_divisor = node.at("vocab_divisor").positive_int64();
    if (model.vocab_divisor > parse::kMaxWidth)
      node.at("vocab_divisor").fail("must be at most " + std::to_string(parse::kMaxWidth));
  }
  return model;
}

}  // namespace models
