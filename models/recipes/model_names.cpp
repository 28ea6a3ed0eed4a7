#include "models/recipes/model_names.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace recipes {
namespace {

/// Of two models with one repository the first is what it means; the other is stated in a line of its own.
constexpr ModelName kNames[] = {
    {"deepseek-v3", "deepseek-ai/DeepSeek-V3", "deepseek_v3"},
    {"deepseek-v3-nomtp", "deepseek-ai/DeepSeek-V3", ""},
    {"deepseek-v3", "deepseek-ai/DeepSeek-V3-Base", ""},
    {"kimi-k2", "moonshotai/Kimi-K2-Base", "kimi_k2"},
    {"kimi-k2", "moonshotai/Kimi-K2-Instruct", ""},
    {"gpt-oss-20b", "openai/gpt-oss-20b", "gpt_oss_20b"},
    {"gpt-oss-120b", "openai/gpt-oss-120b", "gpt_oss_120b"},
    {"qwen3-30b-a3b", "Qwen/Qwen3-30B-A3B", "qwen3_30b_a3b"},
    {"qwen3-235b-a22b", "Qwen/Qwen3-235B-A22B", "qwen3_235b_a22b"},
    {"qwen3.5-35b-a3b", "Qwen/Qwen3.5-35B-A3B", ""},
    {"qwen3-32b", "Qwen/Qwen3-32B", "qwen3_32b"},
    {"qwen3-8b", "Qwen/Qwen3-8B", "qwen3_8b"},
    {"qwen2.5-32b", "Qwen/Qwen2.5-32B", "qwen25_32b"},
    {"qwen2.5-7b", "Qwen/Qwen2.5-7B", "qwen25_7b"},
    {"llama3-8b", "meta-llama/Meta-Llama-3-8B", "llama3_8b"},
    {"llama3-70b", "meta-llama/Meta-Llama-3-70B", "llama3_70b"},
    {"llama3-70b", "meta-llama/Llama-3.3-70B-Instruct", ""},
    {"llama3.1-405b", "meta-llama/Llama-3.1-405B", "llama31_405b"},
    {"llama3.2-1b", "meta-llama/Llama-3.2-1B", "llama32_1b"},
    {"llama3.2-3b", "meta-llama/Llama-3.2-3B", "llama32_3b"},
    {"llama2-7b", "meta-llama/Llama-2-7b-hf", "llama2_7b"},
    {"llama2-13b", "meta-llama/Llama-2-13b-hf", ""},
    {"llama2-70b", "meta-llama/Llama-2-70b-hf", ""},
    {"mistral-7b", "mistralai/Mistral-7B-v0.1", ""},
    {"mixtral-8x7b", "mistralai/Mixtral-8x7B-v0.1", ""},
    {"mixtral-8x22b", "mistralai/Mixtral-8x22B-v0.1", ""},
    {"nemotron3-nano", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "nemotron_3_nano"},
    {"wan2.1-14b", "Wan-AI/Wan2.1-T2V-14B-Diffusers", ""},
};

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

std::optional<std::string> model_of_repository(std::string_view repository) {
  const auto found = std::find_if(std::begin(kNames), std::end(kNames), [repository](const ModelName& known) {
    return same_letters(known.hugging_face, repository);
  });
  return found == std::end(kNames) ? std::nullopt : std::optional(std::string(found->name));
}

std::optional<std::string> repository_of_model(std::string_view model) {
  const auto found = std::find_if(std::begin(kNames), std::end(kNames),
                                  [model](const ModelName& known) { return known.name == model; });
  return found == std::end(kNames) ? std::nullopt : std::optional(std::string(found->hugging_face));
}

std::optional<BridgeRecipe> bridge_recipe_of(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kTasks[] = {
      {"_pretrain", "pretrain"}, {"_sft", "sft"}, {"_peft", "lora"}, {"_lora", "lora"}};
  for (const ModelName& known : kNames) {
    for (const auto& [end, task] : kTasks) {
      if (!known.bridge.empty() && text.find(std::string(known.bridge) + std::string(end)) != std::string_view::npos)
        return BridgeRecipe{std::string(known.name), std::string(task)};
    }
  }
  return std::nullopt;
}

}  // namespace recipes
