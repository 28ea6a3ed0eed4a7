#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hw/node.h"
#include "tests/cli/stepcast_process.h"

namespace cli::test {
namespace {

const std::string kBridge = "configs/recipes/llama3-70b-h100-64.py";
const std::string kAutomodel = "configs/recipes/qwen3-30b-a3b-h100-8.yaml";
const std::string kTitan = "configs/recipes/llama3-8b-h100-8.toml";

void expect_refused(const std::vector<std::string>& arguments, const std::string& error) {
  const Finished finished = stepcast(arguments);
  EXPECT_EQ(finished.status, 2);
  EXPECT_EQ(finished.out, "");
  EXPECT_EQ(finished.err, "error: " + error + "\n");
}

TEST(Recipe, ShowNamesWhatWasUnderstoodAndWhatWasNot) {
  const Finished finished = stepcast({"recipe", "show", kBridge});
  EXPECT_EQ(finished.status, 0) << finished.err;
  for (const char* words : {"format     megatron-bridge", "llama3-70b on 64", "tp 4 (sp), pp 8, vp 5",
                            "9  model.tensor_model_parallel_size", "does not change a step's time: logging",
                            "as the recipe's function is named"})
    EXPECT_NE(finished.out.find(words), std::string::npos) << words << "\n" << finished.out;
}

TEST(Recipe, ShowAsJson) {
  const Finished finished = stepcast({"recipe", "show", kAutomodel, "--json", "-"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  const hw::Node json = hw::Node::parse(finished.out, "stdout");
  EXPECT_EQ(json.keys(), (std::vector<std::string>{"format", "run", "understood", "ignored", "assumed", "missing",
                                                   "not_understood"}));
  EXPECT_EQ(json.at("format").text(), "automodel");
  EXPECT_EQ(json.at("run").at("gbs").positive_int(), 512);
  EXPECT_EQ(json.at("understood").elements()[0].keys(), (std::vector<std::string>{"line", "key", "value", "field"}));
  EXPECT_EQ(json.at("ignored").elements()[0].keys(), (std::vector<std::string>{"line", "key", "why"}));
}

// A run description takes --set as a recipe does: dotted, and never into a value.
TEST(Recipe, RunDescriptionsTakeWhatIsSet) {
  const std::string run = "configs/runs/llama3-70b-h100-64.json";
  const Finished shown = stepcast({"recipe", "show", run, "--set", "recompute.mode=full", "--json", "-"});
  EXPECT_EQ(shown.status, 0) << shown.err;
  const hw::Node json = hw::Node::parse(shown.out, "stdout");
  EXPECT_EQ(json.at("format").text(), "run");
  EXPECT_EQ(json.at("run").at("recompute").at("mode").text(), "full");
  const std::string error = "--set: tp.x: must not lie in a value";
  expect_refused({"recipe", "show", run, "--set", "tp.x=1"}, error);
  expect_refused({"recipe", "show", kBridge, "--set", "tp=2", "--set", "tp.x=1"}, error);
  expect_refused({"tune", run, "--set", "tp.x=1"}, error);
}

TEST(Recipe, WhatIsMissingIsTheAnswerNo) {
  const Finished shown = stepcast({"recipe", "show", "models/qwen3-8b.json"});
  EXPECT_EQ(shown.status, 1);
  EXPECT_NE(shown.out.find("  - system\n  - gpus\n  - precision\n"), std::string::npos) << shown.out;
  const Finished converted = stepcast({"recipe", "convert", "models/qwen3-8b.json", "--to", "run"});
  EXPECT_EQ(converted.status, 1);
  EXPECT_EQ(converted.out, "");
  EXPECT_EQ(converted.err,
            "a run also needs system, gpus, precision, seq_len, gbs, mbs; state --model, --system, --gpus or --set\n");
}

TEST(Recipe, ConvertedToARunIsPredicted) {
  const std::string run = scratch("run.json");
  EXPECT_EQ(stepcast({"recipe", "convert", kTitan, "--to", "run", "--out", run, "--set", "gbs=64"}).status, 0);
  EXPECT_EQ(hw::Node::read_file(run).at("gbs").positive_int(), 64);
  EXPECT_EQ(stepcast({"predict", run}).status, 0);
}

TEST(Recipe, ConvertedToAnotherFramework) {
  const Finished finished =
      stepcast({"recipe", "convert", kTitan, "--to", "megatron-bridge", "--set", "recompute.mode=full"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_NE(finished.out.find("cfg.ddp.use_megatron_fsdp = True\n"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("cfg.model.recompute_granularity = \"full\"\n"), std::string::npos) << finished.out;
  EXPECT_NE(finished.err.find("not carried over: overlap.torch_compile_per_layer"), std::string::npos) << finished.err;
  expect_refused({"recipe", "convert", kBridge, "--to", "automodel"},
                 kBridge + ": /zero: must be 2 (kept gathered) or 3 (reshard after forward) with fsdp > 0, got 1");
}

TEST(Recipe, ARunIsConvertedToo) {
  const Finished finished =
      stepcast({"recipe", "convert", "configs/runs/llama3-70b-h100-64.json", "--to", "megatron-bridge"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_EQ(finished.out.find("# megatron-bridge recipe of a stepcast run\n"), 0U) << finished.out;
}

TEST(Recipe, WrongArgumentsAreRefused) {
  expect_refused({"recipe", "show"}, "recipe: needs RECIPE, the file of a recipe (docs/recipes.md)");
  expect_refused({"recipe", "convert", kTitan}, "recipe convert: needs --to, run or a format (docs/recipes.md)");
  expect_refused({"recipe", "show", "configs"}, "configs: is a directory, not a file");
  expect_refused({"recipe", "show", "no-such-file"}, "no-such-file: cannot be opened");
  expect_refused({"recipe", "show", kTitan, "--set", "gbs"}, "--set: must be KEY=VALUE, got gbs");
  expect_refused({"recipe", "show", kTitan, "--jsn", "-"}, "unknown flag --jsn (did you mean --json?)");
  expect_refused({"recipe", "show", kTitan, "--format", "torch-titan"},
                 "format: must be one of megatron-bridge, megatron-lm, automodel, dfm-megatron, dfm-automodel, "
                 "torchtitan, hugging-face (did you mean torchtitan?), got torch-titan");
  expect_refused({"recipe", "show", "tests/recipes/malformed/zero_tp.yaml"},
                 "tests/recipes/malformed/zero_tp.yaml: line 5: model.tensor_model_parallel_size: must be a positive "
                 "integer, got 0");
}

}  // namespace
}  // namespace cli::test
