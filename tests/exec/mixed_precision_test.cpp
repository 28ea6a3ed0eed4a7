// Training in bf16: what is kept narrow rounds, so losses follow those of fp64 and of one rank within that rounding.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/exec/layout_cases.h"
#include "tests/exec/trained.h"

namespace exec {
namespace {

std::string in_bf16(const std::string& overrides) {
  nlohmann::json run = nlohmann::json::parse(overrides);
  run["precision"] = "bf16";
  return run.dump();
}

struct Golden {
  std::vector<double> losses, gradient_norms;
};

Golden golden(const std::string& model) {
  std::ifstream in(std::string(STEPCAST_SOURCE_DIR) + "/tests/exec/goldens/" + model + ".json");
  const nlohmann::json all = nlohmann::json::parse(in);
  return {all.at("losses").get<std::vector<double>>(), all.at("global_gradient_norm").get<std::vector<double>>()};
}

/// Largest relative difference.
double furthest(const std::vector<double>& a, const std::vector<double>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] / b[i] - 1));
  return most;
}

// ---- Against PyTorch's fp64 ----

class Bf16Goldens : public testing::TestWithParam<const char*> {};

TEST_P(Bf16Goldens, TwentyLossesFollow) {
  EXPECT_LT(furthest(train(tiny_run(GetParam(), in_bf16("{}")), 20).losses, golden(GetParam()).losses), 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Dense, Bf16Goldens, testing::Values("llama", "gpt2", "qwen2", "qwen3", "llama-lora"));

/// Rounded logits choose other experts now and then, which later steps amplify.
class Bf16FirstStep : public testing::TestWithParam<const char*> {};

TEST_P(Bf16FirstStep, IsTheGoldens) {
  const Trained got = train(tiny_run(GetParam(), in_bf16("{}")), 1);
  const Golden expected = golden(GetParam());
  EXPECT_NEAR(got.losses[0] / expected.losses[0], 1, 3e-3);
  EXPECT_NEAR(got.gradient_norms[0] / expected.gradient_norms[0], 1, 4e-2);
}

INSTANTIATE_TEST_SUITE_P(All, Bf16FirstStep,
                         testing::Values("llama", "gpt2", "wan", "nemotron-dense", "qwen3-moe", "gpt-oss",
                                         "deepseek-v3", "kimi-k2", "nemotron"));

// ---- What is kept in which format ----

/// The optimizer's formats change the curve by rounding alone: bf16 moments, bf16 gradients, no master weights; the
/// last loses updates that are below a weight's last bit.
TEST(Bf16Optimizer, FormatsRound) {
  const std::vector<double> expected = golden("llama").losses;
  for (const char* optimizer :
       {R"({"state_dtype": "bf16"})", R"({"main_params": "fp32", "exp_avg": "bf16", "exp_avg_sq": "fp32"})"}) {
    const std::string overrides = R"({"precision": "bf16", "optimizer": )" + std::string(optimizer) + "}";
    EXPECT_LT(furthest(train(tiny_run("llama", overrides), 20).losses, expected), 1e-2) << optimizer;
  }
  // Gradients and their sums over ranks in bf16, master weights: Megatron-Bridge. No master weights, moments in bf16
  // and gathered weights as FSDP has them: AutoModel. fp32 weights that FSDP gathers in bf16: torchtitan.
  for (const char* overrides : {R"({"precision": "bf16", "framework": "megatron-bridge", "gpus": 2})",
                                R"({"precision": "bf16", "framework": "automodel", "gpus": 2, "fsdp": 2, "zero": 3,
            "optimizer": {"grad_reduce_dtype": "bf16"}})",
                                R"({"precision": "bf16", "framework": "torchtitan", "gpus": 2, "fsdp": 2, "zero": 3})"})
    EXPECT_LT(furthest(train(tiny_run("llama", overrides), 20).losses, expected), 2e-2) << overrides;
}

/// In two runs of a layout every sum is made in the same order.
TEST(Bf16Bits, AreTheSameTwice) {
  for (const char* layout : {R"({"gpus": 4, "gbs": 8, "mbs": 1, "tp": 2, "sp": true, "zero": 1})",
                             R"({"gpus": 4, "gbs": 8, "mbs": 1, "cp": 2, "fsdp": 4, "zero": 3})"}) {
    const models::Run run = tiny_run("llama", in_bf16(layout));
    const Trained first = train(run, 3), second = train(run, 3);
    EXPECT_EQ(first.losses, second.losses) << layout;
    for (const auto& [name, whole] : first.weights) EXPECT_EQ(whole.values, second.weights.at(name).values) << layout;
  }
}

// ---- Layouts ----

class Bf16Layouts : public testing::TestWithParam<LayoutCase> {};

TEST_P(Bf16Layouts, AreCloseToOneRank) {
  const auto& [model, layout] = GetParam();
  const Trained one = train(tiny_run(model, in_bf16(R"({"gbs": 8, "mbs": 1})")), 5);
  const Trained got = train(tiny_run(model, in_bf16(layout)), 5);
  EXPECT_LT(furthest(got.losses, one.losses), 5e-3);
  EXPECT_LT(furthest(got.gradient_norms, one.gradient_norms), 4e-2);
}

/// Nothing is added in another order: the same bits.
TEST(Bf16Pipeline, AStageRoundsNothingMore) {
  const Trained one = train(tiny_run("llama", in_bf16(R"({"gbs": 8, "mbs": 1})")), 5);
  const Trained two = train(tiny_run("llama", in_bf16(R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2})")), 5);
  EXPECT_EQ(one.losses, two.losses);
}

INSTANTIATE_TEST_SUITE_P(
    Some, Bf16Layouts,
    testing::Values(
        LayoutCase{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2})"},
        LayoutCase{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2, "sp": true})"},
        LayoutCase{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "zero": 1})"},
        LayoutCase{"llama", R"({"gpus": 4, "gbs": 8, "mbs": 1, "fsdp": 4, "zero": 3})"},
        LayoutCase{"llama", R"({"gpus": 4, "gbs": 8, "mbs": 1, "pp": 4, "schedule": "zb-1p"})"},
        LayoutCase{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "cp": 2})"},
        LayoutCase{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "cp": 2, "extra": {"cp_comm_type": "a2a"}})"},
        LayoutCase{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "cp": 2, "extra": {"cp_comm_type": "all_gather"}})"},
        LayoutCase{"wan", R"({"gpus": 2, "gbs": 8, "mbs": 2, "cp": 2, "zero": 1})"},
        LayoutCase{"qwen3-moe", R"({"gpus": 4, "gbs": 8, "mbs": 1, "ep": 2, "etp": 2, "tp": 2, "sp": true})"},
        LayoutCase{"gpt2", R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2, "zero": 1})"},
        LayoutCase{"nemotron-dense", R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2, "sp": true})"},
        LayoutCase{"qwen3-moe", R"({"gpus": 4, "gbs": 8, "mbs": 1, "ep": 2, "tp": 2, "sp": true})"}));

}  // namespace
}  // namespace exec
