#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>

#include "models/lower.h"
#include "tests/exec/trained.h"

namespace exec {
namespace {

constexpr int kSteps = 5;

struct Case {
  std::string model, overrides;
};

std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.model << " " << one.overrides; }

const Trained& on_one_rank(const std::string& model) {
  static std::map<std::string, Trained> known;
  const auto found = known.find(model);
  if (found != known.end()) return found->second;
  return known.emplace(model, train(tiny_run(model, R"({"gbs": 8, "mbs": 1})"), kSteps)).first->second;
}

class Layouts : public testing::TestWithParam<Case> {};

/// Losses and weights are those of one rank.
TEST_P(Layouts, EqualOneRank) {
  const Trained& expected = on_one_rank(GetParam().model);
  const Trained got = train(tiny_run(GetParam().model, GetParam().overrides), kSteps);
  for (std::size_t i = 0; i < kSteps; ++i)
    EXPECT_NEAR(got.losses[i] / expected.losses[i], 1, 1e-9) << "loss of step " << i;
  for (const auto& [name, whole] : expected.weights) {
    ASSERT_TRUE(got.weights.contains(name)) << name;
    const WholeWeight& mine = got.weights.at(name);
    ASSERT_GE(mine.values.size(), whole.values.size()) << name;
    double worst = 0;
    for (std::size_t i = 0; i < whole.values.size(); ++i)
      worst = std::max(worst, std::abs(mine.values[i] - whole.values[i]));
    EXPECT_LT(worst, 1e-7) << name;
  }
}

/// Dense layouts: each dimension alone and together.
std::vector<Case> dense() {
  std::vector<Case> cases;
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

/// Expert parallelism with everything else. Kimi K2 has MLA, DeepSeek V3 MTP too, GPT-OSS windows, sinks and biases.
std::vector<Case> experts() {
  std::vector<Case> cases;
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

INSTANTIATE_TEST_SUITE_P(Experts, Layouts, testing::ValuesIn(experts()));

/// With Mamba layers, which context parallelism does not divide.
std::vector<Case> hybrid() {
  std::vector<Case> cases;
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

/// Mamba, experts and attention in turns.
std::vector<Case> hybrid_experts() {
  std::vector<Case> cases;
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

/// A diffusion transformer, whose layers read text and time beside their input.
std::vector<Case> diffusion() {
  std::vector<Case> cases;
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

/// Why a layout does not train; empty if it does.
std::string refusal(const std::string& model, const std::string& overrides) {
  try {
    train(tiny_run(model, overrides), 1);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(LayoutRefusals, SayWhy) {
  EXPECT_EQ(refusal("nemotron-dense", R"({"gpus": 2, "gbs": 8, "cp": 2})"),
            "mamba: a state-space scan does not run with context parallelism, got cp 2");
  EXPECT_EQ(refusal("nemotron-dense", R"({"gpus": 4, "gbs": 8, "tp": 4})"),
            "attention: qkv does not run in fewer pieces than tp, got 2 and tp 4");
  EXPECT_EQ(refusal("wan", R"({"gpus": 2, "gbs": 8, "pp": 2})"),
            "embedding: what later blocks read beside their input does not travel between stages, got pp 2");
  EXPECT_EQ(refusal("wan", R"({"gpus": 2, "gbs": 8, "tp": 2})"),
            "embedding: modulation and norms over all heads do not run with tensor parallelism, got tp 2");
}

INSTANTIATE_TEST_SUITE_P(Diffusion, Layouts, testing::ValuesIn(diffusion()));
INSTANTIATE_TEST_SUITE_P(HybridExperts, Layouts, testing::ValuesIn(hybrid_experts()));
INSTANTIATE_TEST_SUITE_P(Hybrid, Layouts, testing::ValuesIn(hybrid()));
INSTANTIATE_TEST_SUITE_P(Dense, Layouts, testing::ValuesIn(dense()));

}  // namespace
}  // namespace exec
