// What becomes of a key: understood, ignored with a reason, assumed, missing.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "hw/input_error.h"
#include "models/recipes/recipe.h"
#include "tests/recipes/shipped.h"

namespace {

using recipes::Format;

recipes::Imported import(const std::string& text, const recipes::Overrides& overrides = {}) {
  models::Library library(recipes_test::data());
  return recipes::to_run(recipes::read_recipe(text, "recipe"), overrides, library);
}

/// Why the key on that line was ignored; empty where it was not.
std::string reason(const recipes::Imported& imported, int line) {
  const auto found = std::find_if(imported.ignored.begin(), imported.ignored.end(),
                                  [line](const recipes::Ignored& key) { return key.line == line; });
  return found == imported.ignored.end() ? "" : found->why;
}

int number(const recipes::Imported& imported, const char* field) { return imported.run.at(field).positive_int(); }

TEST(Import, EveryLineOfPythonIsAccountedFor) {
  const recipes::Imported imported = import(
      "import os\n"
      "cfg = llama3_70b_sft_config()\n"
      "cfg.model.tensor_model_parallel_size = 2\n"
      "cfg.model.tensor_model_parallel_size = 4  # counts\n"
      "if os.environ.get(\"LARGE\"):\n"
      "    cfg.model.pipeline_model_parallel_size = 8\n"
      "cfg.model.no_such_key = 1\n"
      "cfg.optimizer.lr = 3e-4\n"
      "cfg.mixed_precision = bf16_with_mxfp8_mixed()\n"
      "cfg.model.recompute_modules = [\n  'mlp',  # the widest\n  'layernorm',\n]\n"
      "pretrain(cfg)\n");
  EXPECT_EQ(imported.format, Format::megatron_bridge);
  EXPECT_EQ(imported.run.at("model").text(), "llama3-70b");
  EXPECT_EQ(imported.run.at("task").text(), "sft");
  EXPECT_EQ(imported.run.at("precision").text(), "mxfp8");
  EXPECT_EQ(number(imported, "tp"), 4);
  EXPECT_FALSE(imported.run.has("pp"));
  EXPECT_EQ(imported.run.at("recompute").at("modules").elements().size(), 2U);
  EXPECT_EQ(reason(imported, 1), "does not change a step's time: not a setting");
  EXPECT_EQ(reason(imported, 2), "the recipe that this one starts from: what it sets is not read");
  EXPECT_EQ(reason(imported, 3), "set again on line 4");
  EXPECT_EQ(reason(imported, 4), "");
  EXPECT_EQ(reason(imported, 5), "not understood: what stands under a condition may not run");
  EXPECT_EQ(reason(imported, 6), "not understood: only set under a condition");
  EXPECT_EQ(reason(imported, 7), "not understood");
  EXPECT_EQ(reason(imported, 8), "does not change a step's time: learning rate");
  EXPECT_NE(reason(imported, 14), "");
  EXPECT_EQ(imported.missing, (std::vector<std::string>{"system", "gpus", "seq_len", "gbs", "mbs"}));
}

TEST(Import, OverridesOfACommandLine) {
  const recipes::Imported imported = import(
      "torchrun --nproc-per-node 8 run.py \\\n  --model.tensor_model_parallel_size=2 \\\n"
      "  ++model.recompute_modules=[mlp,layernorm] \\\n  train.micro_batch_size=1 mixed_precision=bf16_mixed\n");
  EXPECT_EQ(imported.format, Format::megatron_bridge);
  EXPECT_EQ(number(imported, "tp"), 2);
  EXPECT_EQ(imported.run.at("recompute").at("modules").elements()[1].text(), "layernorm");
  EXPECT_EQ(imported.run.at("precision").text(), "bf16");
}

TEST(Import, FlagsOfThePerformanceScripts) {
  const recipes::Imported imported = import(
      "# stepcast: model = llama3-70b\npython scripts/performance/run_script.py --num_gpus 64 --gpu gb200 \\\n"
      "  --compute_dtype fp8_mx --tensor_model_parallel_size 2 --global_batch_size 256 model.seq_length=8192\n");
  EXPECT_EQ(imported.format, Format::megatron_bridge);
  EXPECT_EQ(number(imported, "gpus"), 64);
  EXPECT_EQ(imported.run.at("system").text(), "gb200");
  EXPECT_EQ(imported.run.at("precision").text(), "mxfp8");
  EXPECT_EQ(number(imported, "tp"), 2);
  EXPECT_EQ(imported.missing, std::vector<std::string>{"mbs"});
}

TEST(Import, ShellVariablesArraysAndComments) {
  const recipes::Imported imported = import(
      "#!/bin/bash\n# --tensor-model-parallel-size 16\nTP=2; export PP=${PP:-4}\nARGS=\"--swiglu --bf16\"\n"
      "MORE=(\n  --tensor_model_parallel_size ${TP} # two\n  --pipeline-model-parallel-size \"$PP\"\n)\n"
      "torchrun --nproc_per_node=8 --nnodes=2 pretrain_gpt.py $ARGS ${MORE[@]} --seq-length 4096 \\\n"
      "  --micro-batch-size 1 --global-batch-size 16 --no-overlap-p2p-communication\n");
  EXPECT_EQ(imported.format, Format::megatron_lm);
  EXPECT_EQ(number(imported, "tp"), 2);
  EXPECT_EQ(number(imported, "pp"), 4);
  EXPECT_EQ(number(imported, "gpus"), 16);
  EXPECT_EQ(number(imported, "seq_len"), 4096);
  EXPECT_EQ(imported.run.at("precision").text(), "bf16");
  EXPECT_FALSE(imported.run.at("overlap").at("pp_p2p").boolean());
  EXPECT_EQ(reason(imported, 4), "a size of the model, which is named apart");
}

TEST(Import, FlagsGoBeforeTheRecipe) {
  const std::string text = "# stepcast: gpus = 8\nmodel:\n  tensor_model_parallel_size: 2\n  seq_length: 4096\n";
  const recipes::Imported imported = import(text, {{"gpus", 16}, {"tp", 4}, {"recompute", recipes::Value::Object{}}});
  EXPECT_EQ(number(imported, "gpus"), 16);
  EXPECT_EQ(number(imported, "tp"), 4);
  EXPECT_EQ(reason(imported, 1), "overridden: gpus was given apart");
  EXPECT_EQ(reason(imported, 3), "overridden: tp was given apart");
}

TEST(Import, APipelineThatIsNotThereSaysNothing) {
  const recipes::Imported imported = import(
      "# stepcast: system = h100\nbenchmark: {num_nodes: 1}\nstep_scheduler: {global_batch_size: 64, local_batch_size: "
      "2}\n"
      "distributed:\n  strategy: fsdp2\n  pp_size: 1\n  pipeline:\n    pp_schedule: interleaved1f1b\n"
      "    pp_microbatch_size: 1\nmodel:\n  pretrained_model_name_or_path: Qwen/Qwen3-8B\n  torch_dtype: bf16\n"
      "dataset: {seq_len: 4096}\n");
  EXPECT_EQ(imported.format, Format::automodel);
  EXPECT_EQ(number(imported, "mbs"), 2);
  EXPECT_FALSE(imported.run.has("overlap") && imported.run.at("overlap").has("pp"));
  EXPECT_EQ(reason(imported, 8), "does not change a step's time: there is no pipeline");
  EXPECT_EQ(imported.missing, std::vector<std::string>{});
}

TEST(Import, VirtualStagesFollowFromTheirLayers) {
  const std::string text =
      "# stepcast: system = h100\nbenchmark: {num_nodes: 4}\nstep_scheduler: {global_batch_size: 64, local_batch_size: "
      "8}\n"
      "distributed:\n  strategy: fsdp2\n  pp_size: 4\n  pipeline:\n    layers_per_stage: 2\n"
      "    round_virtual_stages_to_pp_multiple: down\nmodel:\n  pretrained_model_name_or_path: ";
  // 80 layers in stages of 2 are 40 = 4 * 10; 61 layers are 31, rounded down to 28 = 4 * 7.
  EXPECT_EQ(number(import(text + "meta-llama/Meta-Llama-3-70B\n"), "vp"), 10);
  EXPECT_EQ(number(import(text + "deepseek-ai/DeepSeek-V3\n"), "vp"), 7);
}

TEST(Import, TorchtitanShardsOverWhatIsLeft) {
  const std::string text =
      "# stepcast: system = h100\n# stepcast: gpus = 64\n[model]\nname = \"llama3\"\nflavor = \"8B\"\n[training]\n"
      "local_batch_size = 2\nseq_len = 8192\n[parallelism]\ntensor_parallel_degree = 2\ncontext_parallel_degree = 2\n"
      "data_parallel_replicate_degree = 4\ndata_parallel_shard_degree = -1\n";
  const recipes::Imported imported = import(text);
  EXPECT_EQ(number(imported, "fsdp"), 8);  // of dp*cp = 16*2, four copies
  EXPECT_EQ(number(imported, "gbs"), 32);  // 2 each of 16 ranks
  EXPECT_TRUE(imported.run.at("sp").boolean());
}

}  // namespace
