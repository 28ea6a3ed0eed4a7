#include "tests/exec/layout_cases.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "exec/cpu/op_run.h"
#include "exec/runnable.h"
#include "hw/input_error.h"
#include "models/lower.h"
#include "tests/exec/trained.h"

namespace exec {
namespace {

/// Draws of one value of a list.
class Dice {
 public:
  explicit Dice(unsigned seed) : engine_(seed) {}

  template <typename T>
  T of(std::initializer_list<T> values) {
    return values.begin()[engine_() % values.size()];
  }

 private:
  std::mt19937 engine_;
};

nlohmann::json recompute(Dice& dice) {
  switch (dice.of({0, 0, 1, 2})) {
    case 1: return {{"mode", "full"}};
    case 2: return {{"mode", "selective"}, {"modules", {"core_attn", "layernorm", dice.of({"mlp", "moe_act"})}}};
    default: return {{"mode", "none"}};
  }
}

/// A layout that may be impossible.
LayoutCase draw(Dice& dice) {
  const int tp = dice.of({1, 2, 2, 4}), pp = dice.of({1, 2, 2, 4}), cp = dice.of({1, 1, 2}), dp = dice.of({1, 2, 4});
  nlohmann::json run = {{"gpus", tp * pp * cp * dp},
                        {"gbs", 8},
                        {"mbs", dice.of({1, 2})},
                        {"tp", tp},
                        {"pp", pp},
                        {"cp", cp},
                        {"sp", dice.of({false, true, true})},
                        {"ep", dice.of({1, 2, 4})},
                        {"recompute", recompute(dice)}};
  if (pp > 1) run["schedule"] = dice.of({"1f1b", "1f1b", "gpipe", "zb-1p"});
  if (pp == 2 && dice.of({false, true})) run["vp"] = 2, run["schedule"] = dice.of({"interleaved", "zb-v"});
  if (cp > 1) run["extra"] = {{"cp_comm_type", dice.of({"p2p", "a2a", "all_gather"})}};
  const int zero = dice.of({0, 1, 1, 3});
  run["zero"] = zero;
  if (zero == 3) run["fsdp"] = dp * cp;
  return {dice.of({"llama", "qwen3", "gpt2", "qwen3-moe", "gpt-oss", "deepseek-v3", "kimi-k2", "nemotron-dense"}),
          run.dump()};
}

int dimensions(const models::Layout& l) {
  return (l.tp > 1) + (l.pp > 1) + (l.cp > 1) + (l.ep > 1) + (l.dp > 1) + (l.vp > 1) + (l.fsdp > 1);
}

/// Whether the executor runs it, on 2 to 8 ranks and with three dimensions or more.
bool runs(const LayoutCase& one) {
  try {
    const models::Run run = tiny_run(one.model, one.overrides);
    if (run.layout.gpus > 8 || dimensions(run.layout) < 3) return false;
    return !why_not_runnable(run, models::lower(run), cpu::has_kernel);
  } catch (const hw::InputError&) {
    return false;
  }
}

}  // namespace

std::vector<LayoutCase> dense() {
  std::vector<LayoutCase> cases;
  for (
      const char* layout : {
          R"({"gpus": 1, "gbs": 8, "mbs": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "zero": 1})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "fsdp": 4, "zero": 3})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "fsdp": 2, "zero": 3})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "fsdp": 4, "zero": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 2, "tp": 2, "sp": true})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "zero": 1})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2, "vp": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2, "lbs": 4})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "tp": 2, "pp": 2, "framework": "torchtitan"})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2, "schedule": "gpipe"})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "pp": 4, "schedule": "zb-1p"})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2, "vp": 2, "schedule": "zb-v"})",
          R"({"gpus": 2, "gbs": 8, "mbs": 2, "cp": 2})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "cp": 4})",
          R"({"gpus": 2, "gbs": 8, "mbs": 2, "cp": 2, "extra": {"cp_comm_type": "a2a"}})",
          R"({"gpus": 2, "gbs": 8, "mbs": 2, "cp": 2, "extra": {"cp_comm_type": "all_gather"}})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "tp": 2, "pp": 2})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "cp": 2})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "fsdp": 2, "zero": 3})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "pp": 2, "cp": 2})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "pp": 2, "zero": 1})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "cp": 2, "zero": 1})",
          R"({"gpus": 4, "gbs": 8, "mbs": 2, "cp": 2, "fsdp": 4, "zero": 3})",
          R"({"gpus": 8, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "pp": 2, "cp": 2})",
          R"({"gpus": 8, "gbs": 8, "mbs": 1, "tp": 2, "pp": 2, "vp": 2, "zero": 1})",
          R"({"gpus": 8, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "cp": 2, "fsdp": 4, "zero": 3})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "recompute": {"mode": "full"}})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "cp": 2, "recompute": {"mode": "full"}})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2, "recompute": {"mode": "selective", "modules": ["core_attn", "layernorm", "mlp"]}})",
      }) {
    for (const char* model : {"llama", "gpt2", "qwen3"}) cases.push_back({model, layout});
  }
  return cases;
}

/// Kimi K2 has MLA, DeepSeek V3 MTP too, GPT-OSS windows, sinks and biases.
std::vector<LayoutCase> experts() {
  std::vector<LayoutCase> cases;
  for (
      const char* layout : {
          R"({"gpus": 2, "gbs": 8, "mbs": 1})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "ep": 2})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "ep": 4, "zero": 1})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "ep": 2, "overlap": {"dp_grad_reduce": true}})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "ep": 2, "zero": 1})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "ep": 2, "fsdp": 4, "zero": 3})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "ep": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "etp": 2})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "etp": 2, "ep": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "pp": 2, "ep": 2})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "pp": 2, "schedule": "zb-1p", "ep": 2})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "cp": 2, "ep": 4})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "cp": 2, "ep": 2})",
          R"({"gpus": 8, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "pp": 2, "ep": 4, "zero": 1})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "ep": 2, "recompute": {"mode": "full"}})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "ep": 2, "recompute": {"mode": "selective", "modules": ["moe_act", "mla_up_proj", "layernorm"]}})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "ep": 2, "recompute": {"mode": "selective", "modules": ["moe", "core_attn"]}})",
      }) {
    for (const char* model : {"qwen3-moe", "gpt-oss", "kimi-k2", "deepseek-v3"}) cases.push_back({model, layout});
  }
  return cases;
}

/// Context parallelism does not divide Mamba layers.
std::vector<LayoutCase> hybrid() {
  std::vector<LayoutCase> cases;
  for (
      const char* layout : {
          R"({"gpus": 1, "gbs": 8, "mbs": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "zero": 1})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "fsdp": 2, "zero": 3})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 2, "tp": 2, "sp": true})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "pp": 4, "schedule": "zb-1p"})",
          R"({"gpus": 8, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "pp": 2, "fsdp": 2, "zero": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "recompute": {"mode": "full"}})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2, "recompute": {"mode": "selective", "modules": ["core_attn", "layernorm", "mlp"]}})",
      })
    cases.push_back({"nemotron-dense", layout});
  return cases;
}

std::vector<LayoutCase> hybrid_experts() {
  std::vector<LayoutCase> cases;
  for (const char* layout : {
           R"({"gpus": 2, "gbs": 8, "mbs": 1, "ep": 2})",
           R"({"gpus": 4, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "ep": 2})",
           R"({"gpus": 4, "gbs": 8, "mbs": 1, "pp": 2, "ep": 2})",
           R"({"gpus": 4, "gbs": 8, "mbs": 1, "ep": 2, "fsdp": 4, "zero": 3})",
           R"({"gpus": 2, "gbs": 8, "mbs": 1, "ep": 2, "recompute": {"mode": "full"}})",
       })
    cases.push_back({"nemotron", layout});
  return cases;
}

std::vector<LayoutCase> diffusion() {
  std::vector<LayoutCase> cases;
  for (
      const char* layout : {
          R"({"gpus": 1, "gbs": 8, "mbs": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 1})",
          R"({"gpus": 2, "gbs": 8, "mbs": 2, "zero": 1})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "fsdp": 4, "zero": 3})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "fsdp": 2, "zero": 2})",
          R"({"gpus": 2, "gbs": 8, "mbs": 2, "cp": 2})",
          R"({"gpus": 4, "gbs": 8, "mbs": 1, "cp": 4, "extra": {"cp_comm_type": "a2a"}})",
          R"({"gpus": 4, "gbs": 8, "mbs": 2, "cp": 2, "fsdp": 4, "extra": {"cp_comm_type": "all_gather"}})",
          R"({"gpus": 1, "gbs": 8, "mbs": 1, "recompute": {"mode": "full"}})",
          R"({"gpus": 2, "gbs": 8, "mbs": 2, "cp": 2, "recompute": {"mode": "full"}})",
          R"({"gpus": 1, "gbs": 8, "mbs": 1, "recompute": {"mode": "selective", "modules": ["core_attn", "layernorm", "mlp"]}})",
      })
    cases.push_back({"wan", layout});
  return cases;
}

std::vector<LayoutCase> bf16() {
  const char* const optimizers[] = {R"({"name": "adam"})", R"({"state_dtype": "bf16"})"};
  const std::vector<LayoutCase> layouts = {
      {"llama", R"({"gpus": 1, "gbs": 8, "mbs": 2})"},
      {"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2, "sp": true})"},
      {"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "zero": 1})"},
      {"llama", R"({"gpus": 4, "gbs": 8, "mbs": 1, "fsdp": 4, "zero": 3})"},
      {"llama", R"({"gpus": 4, "gbs": 8, "mbs": 1, "fsdp": 2, "zero": 2})"},
      {"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2})"},
      {"llama-lora", R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2, "zero": 1})"},
      {"gpt2", R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2, "recompute": {"mode": "full"}})"},
      {"qwen3-moe", R"({"gpus": 4, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "ep": 2, "zero": 1})"},
      {"deepseek-v3", R"({"gpus": 2, "gbs": 8, "mbs": 1, "ep": 2, "fsdp": 2, "zero": 3})"},
      {"nemotron-dense", R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2, "sp": true})"},
      {"wan", R"({"gpus": 2, "gbs": 8, "mbs": 2, "cp": 2})"},
  };
  std::vector<LayoutCase> cases;
  for (const char* optimizer : optimizers) {
    for (const LayoutCase& one : layouts) {
      nlohmann::json run = nlohmann::json::parse(one.overrides);
      run["precision"] = "bf16";
      run["optimizer"] = nlohmann::json::parse(optimizer);
      cases.push_back({one.model, run.dump()});
    }
  }
  return cases;
}

LayoutCase mix(int index) {
  Dice dice(static_cast<unsigned>(index));
  for (;;) {
    const LayoutCase one = draw(dice);
    if (runs(one)) return one;
  }
}

std::vector<LayoutCase> listed_layouts() {
  std::vector<LayoutCase> all;
  for (const auto& list : {dense(), experts(), hybrid(), hybrid_experts(), diffusion()})
    all.insert(all.end(), list.begin(), list.end());
  return all;
}

}  // namespace exec
