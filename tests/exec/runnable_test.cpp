#include "exec/runnable.h"

#include <gtest/gtest.h>

#include <string>

#include "exec/cpu/op_run.h"
#include "models/lower.h"
#include "tests/exec/trained.h"

namespace exec {
namespace {

std::string why_not(const std::string& model, const std::string& overrides) {
  const models::Run run = tiny_run(model, overrides);
  return why_not_runnable(run, models::lower(run), cpu::has_kernel).value_or("");
}

TEST(Runnable, AllArchitecturesAre) {
  for (const char* model : {"qwen3-moe", "gpt-oss", "deepseek-v3", "kimi-k2", "nemotron", "nemotron-dense", "wan"})
    EXPECT_EQ(why_not(model, "{}"), "") << model;
  for (const char* model : {"llama", "gpt2", "qwen2", "qwen3", "llama-lora"}) {
    EXPECT_EQ(why_not(model, "{}"), "") << model;
    EXPECT_EQ(why_not(model, R"({"gpus": 4, "gbs": 4, "mbs": 1, "tp": 2, "pp": 2, "zero": 1})"), "") << model;
  }
}

TEST(Runnable, SomePrecisionsAre) {
  for (const char* precision : {"fp64", "fp32", "bf16"})
    EXPECT_EQ(why_not("llama", R"({"precision": ")" + std::string(precision) + R"("})"), "") << precision;
}

TEST(Runnable, RefusalsAreRules) {
  EXPECT_EQ(why_not("llama", R"({"precision": "fp8-cs"})"),
            "precision: must be fp64, fp32 or bf16, the executor has no others yet");
  EXPECT_EQ(why_not("llama", R"({"precision": "bf16", "optimizer": {"param_dtype": "fp32", "main_params": "fp32"}})"),
            "optimizer.param_dtype: must be the precision's, only FSDP gathers weights that it rounds");
  EXPECT_EQ(why_not("llama", R"({"precision": "bf16", "optimizer": {"grad_reduce_dtype": "bf16"}})"),
            "optimizer.grad_reduce_dtype: must be the type that gradients are kept in (fp32)");
  EXPECT_EQ(why_not("llama", R"({"precision": "bf16", "optimizer": {"state_dtype": "fp16"}})"),
            "optimizer: weights, gradients and moments must be kept in fp64, fp32 or bf16");
  EXPECT_EQ(why_not("llama", R"({"framework": "megatron-bridge", "extra": {"cpu_offloading_num_layers": 2}})"),
            "offloading of activations is predicted only");
  EXPECT_EQ(why_not("nemotron-mtp", "{}"), "multi-token prediction is trained with one depth only");
  EXPECT_EQ(why_not("llama", R"({"model": {"rope_scaling": {"factor": 8}}})"), "rope_scaling of the model is not read");
  EXPECT_EQ(why_not("deepseek-v3", R"({"model": {"n_group": 2, "topk_group": 1}})"),
            "n_group of the model: routing within groups of experts is predicted only");
  EXPECT_EQ(why_not("deepseek-v3", R"({"model": {"n_group": 2, "topk_group": 2}})"), "");
  EXPECT_EQ(why_not("nemotron", R"({"gpus": 2, "cp": 2})"),
            "mamba: a state-space scan does not run with context parallelism, got cp 2");
  EXPECT_EQ(why_not("gpt2", R"({"gpus": 4, "pp": 2, "gbs": 4, "mbs": 1, "fsdp": 2, "zero": 3})"),
            "fsdp: must be 0 where pipeline stages share the embedding table (tied embeddings)");
  EXPECT_EQ(why_not("llama-lora", R"({"gpus": 2, "fsdp": 2, "zero": 3})"), "fsdp: must be 0 with LoRA");
  EXPECT_EQ(why_not("llama", R"({"gpus": 4, "tp": 4})"),
            "attention+mlp: qkv does not run in fewer pieces than tp, got 2 and tp 4");
  EXPECT_EQ(why_not("llama", R"({"optimizer": {"name": "muon"}})"), "optimizer: must be AdamW, Muon is predicted only");
}

TEST(Runnable, AnOpWithoutAKernelIsNamed) {
  const models::Run run = tiny_run("llama", "{}");
  const auto no_gemm = [](const models::Op& op) { return std::get_if<models::Gemm>(&op.work) == nullptr; };
  EXPECT_EQ(why_not_runnable(run, models::lower(run), no_gemm),
            "op qkv of its attention+mlp blocks has no kernel here");
}

/// 8 bytes for weight, gradient and two moments of each parameter, on each of two replicas; FSDP divides all of them.
TEST(Runnable, StatesAreCounted) {
  const double parameters = static_cast<double>(models::count_parameters(tiny_run("llama", "{}").model).total);
  const auto bytes = [](const std::string& overrides) {
    const models::Run run = tiny_run("llama", overrides);
    return state_bytes(run, models::lower(run)).value;
  };
  EXPECT_EQ(bytes("{}"), 32 * parameters);
  EXPECT_EQ(bytes(R"({"precision": "fp32"})"), 16 * parameters);
  // 2 for the weight, 4 each for the gradient, the master weight and two moments.
  EXPECT_EQ(bytes(R"({"precision": "bf16"})"), 18 * parameters);
  EXPECT_EQ(bytes(R"({"precision": "bf16", "gpus": 2, "zero": 1})"), 24 * parameters);
  EXPECT_EQ(bytes(R"({"gpus": 2})"), 64 * parameters);
  EXPECT_EQ(bytes(R"({"gpus": 2, "zero": 1})"), 48 * parameters);
  EXPECT_EQ(bytes(R"({"gpus": 2, "fsdp": 2, "zero": 3})"), 32 * parameters);
  EXPECT_EQ(bytes(R"({"gpus": 2, "pp": 2})"), 32 * parameters);
}

}  // namespace
}  // namespace exec
