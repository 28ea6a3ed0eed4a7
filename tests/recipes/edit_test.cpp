// A recipe changed in place: only the keys that say the change, and no other byte.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "hw/input_error.h"
#include "models/recipes/differences.h"
#include "models/recipes/recipe.h"
#include "tests/recipes/shipped.h"

namespace {

using Fields = std::vector<std::pair<std::string, recipes::Value>>;

/// The recipe with these fields of its run changed; a null removes one.
std::string changed(const std::string& text, const Fields& fields, const std::string& file = "recipe") {
  models::Library library(recipes_test::data());
  const recipes::Recipe recipe = recipes::read_recipe(text, file);
  const hw::Node before = recipes::to_run(recipe, {}, library).run;
  recipes::Value after = recipes::from_node(before);
  for (const auto& [field, value] : fields) {
    if (value.is_null()) recipes::erase(after, field);
    if (!value.is_null()) recipes::set(after, field, value);
  }
  return recipes::with_changes(recipe, before, recipes::to_node(after, "after"), {}, library);
}

std::string shipped(const std::string& name) {
  return recipes_test::read(std::filesystem::path(STEPCAST_SOURCE_DIR) / "configs/recipes" / name);
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), by);
}

TEST(Edit, OfNothingChangesNoByte) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(STEPCAST_SOURCE_DIR "/configs/recipes")) {
    if (entry.path().extension() == ".md") continue;
    std::string text = recipes_test::read(entry.path());
    EXPECT_EQ(changed(text, {}), text) << entry.path();
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 2)) text.insert(at, "\r");
    EXPECT_EQ(changed(text, {}), text) << entry.path() << " with CRLF";
    ++count;
  }
  EXPECT_GE(count, 14);
}

TEST(Edit, Python) {
  const std::string text = shipped("llama3-70b-h100-64.py");
  std::string expected = replaced(text, "tensor_model_parallel_size = 4", "tensor_model_parallel_size = 2");
  expected = replaced(expected, "micro_batch_size = 1", "micro_batch_size = 2");
  EXPECT_EQ(changed(text, {{"/tp", 2}, {"/mbs", 2}}), expected);
  // A comment behind a value stays; no virtual stages are no key.
  EXPECT_EQ(changed(text, {{"/vp", 10}}), replaced(text, "size = 5  # 80", "size = 10  # 80"));
  EXPECT_EQ(
      changed(text, {{"/vp", {}}, {"/overlap/pp_p2p", {}}}),
      replaced(replaced(text, "cfg.model.virtual_pipeline_model_parallel_size = 5  # 80 layers: two a stage\n", ""),
               "cfg.comm_overlap.overlap_p2p_comm = True\n", ""));
  // New keys stand behind their neighbours.
  EXPECT_EQ(changed(text, {{"/recompute/mode", "selective"},
                           {"/recompute/modules", recipes::Value::List{"core_attn", "mlp"}}}),
            replaced(text, "cfg.model.recompute_granularity = None\n",
                     "cfg.model.recompute_granularity = \"selective\"\n"
                     "cfg.model.recompute_modules = [\"core_attn\", \"mlp\"]\n"));
}

TEST(Edit, Shell) {
  const std::string text = shipped("gpt3-175b-a100-64.sh");
  // Where a variable holds the value, the variable is set to another.
  EXPECT_EQ(changed(text, {{"/tp", 4}}), replaced(text, "\nTP=8\n", "\nTP=4\n"));
  EXPECT_EQ(changed(text, {{"/vp", 2}}), replaced(text, "stage 4  ", "stage 6  "));
  EXPECT_EQ(changed(text, {{"/gpus", 128}, {"/gbs", 128}}),
            replaced(replaced(text, "--nnodes 8", "--nnodes 16"), "--global-batch-size 64", "--global-batch-size 128"));
  EXPECT_EQ(changed(text, {{"/sp", false}}), replaced(text, "  --sequence-parallel\n", ""));
  EXPECT_EQ(changed(text, {{"/recompute", recipes::Value::Object{{"mode", "none"}}}}),
            replaced(replaced(text, "  --recompute-granularity selective \\\n", ""),
                     "  --recompute-modules core_attn \\\n", ""));
  EXPECT_EQ(changed(text, {{"/overlap/tp_comm_overlap", true}}).size(), text.size() + 22);
}

TEST(Edit, OverridesOnACommandLine) {
  const std::string text =
      "# stepcast: model = llama3-8b\n# stepcast: system = h100\n# stepcast: gpus = 8\n"
      "python run_recipe.py \\\n  model.tensor_model_parallel_size=1 \\\n  model.seq_length=8192 \\\n"
      "  train.global_batch_size=128 train.micro_batch_size=1 \\\n  mixed_precision=bf16_mixed\n";
  EXPECT_EQ(changed(text, {{"/tp", 2}, {"/sp", true}}),
            replaced(text, "parallel_size=1 \\\n", "parallel_size=2 \\\n  model.sequence_parallel=true \\\n"));
  EXPECT_EQ(changed(text, {{"/mbs", 4}}), replaced(text, "micro_batch_size=1", "micro_batch_size=4"));
}

TEST(Edit, Yaml) {
  const std::string text = shipped("qwen3-30b-a3b-h100-8.yaml");
  EXPECT_EQ(changed(text, {{"/mbs", 8}, {"/ep", 4}}),
            replaced(replaced(text, "local_batch_size: 4", "local_batch_size: 8"), "ep_size: 8", "ep_size: 4"));
  // The dispatcher keeps its old spelling as long as that can say it.
  EXPECT_EQ(changed(text, {{"/moe/dispatcher", "alltoall"}}),
            replaced(text, "enable_deepep: true", "enable_deepep: false"));
  // A pipeline brings a section of its own; the run needs no line for what follows.
  const std::string piped = changed(text, {{"/pp", 2},
                                           {"/vp", 4},
                                           {"/overlap/pp/local_batch_size", 4},
                                           {"/mbs", 1},
                                           {"/ep", 4},
                                           {"/fsdp", 4},
                                           {"/overlap/pp/schedule", "interleaved1f1b"}});
  EXPECT_NE(piped.find("  pipeline:\n    pp_microbatch_size: 1\n    pp_schedule: interleaved1f1b\n"), std::string::npos)
      << piped;
  EXPECT_NE(piped.find("    layers_per_stage: 6\n"), std::string::npos) << piped;
}

TEST(Edit, YamlBlockListsAndEmptySections) {
  const std::string text =
      "# stepcast: model = llama3-8b\n# stepcast: system = h100\n# stepcast: gpus = 8\n"
      "model:\n  tensor_model_parallel_size: 1 # ranks\n  seq_length: 8192\n  recompute_granularity: selective\n"
      "  recompute_modules:\n    - core_attn  # the cheapest\n    - mlp\n\n"
      "comm_overlap:\n  tp_comm_overlap: false\n\ntrain: {global_batch_size: 128, micro_batch_size: 1}\n";
  EXPECT_EQ(changed(text, {{"/recompute/modules", recipes::Value::List{"mlp"}}}),
            replaced(text, "- core_attn  # the cheapest\n    - mlp\n", "- mlp\n"));
  EXPECT_EQ(changed(text, {{"/overlap", {}}}), replaced(text, "comm_overlap:\n  tp_comm_overlap: false\n", ""));
  EXPECT_EQ(changed(text, {{"/mbs", 2}}), replaced(text, "micro_batch_size: 1}", "micro_batch_size: 2}"));
}

TEST(Edit, Toml) {
  const std::string text = shipped("llama3-8b-h100-8.toml");
  EXPECT_EQ(changed(text, {{"/recompute/mode", "full"}}), replaced(text, "\"selective\"  # none", "\"full\"  # none"));
  EXPECT_EQ(changed(text, {{"/overlap/tp/async_tp_inductor", true}}),
            replaced(text, "tensor_parallel_degree = 1\n",
                     "tensor_parallel_degree = 1\nenable_async_tensor_parallel = true\n"));
  EXPECT_EQ(changed(text, {{"/precision", "fp8-cs"}}),
            replaced(text, "flavor = \"8B\"\n", "flavor = \"8B\"\nconverters = [\"quantize.linear.float8\"]\n"));
}

std::string refusal(const std::string& text, const Fields& fields) {
  try {
    changed(text, fields, "file");
  } catch (const hw::InputError& error) {
    return error.what();
  }
  return "";
}

TEST(Edit, WhatTheFormatCannotSayIsRefused) {
  EXPECT_EQ(refusal(shipped("llama3-70b-h100-64.py"), {{"/schedule", "gpipe"}, {"/vp", {}}}),
            "file: recipes of megatron-bridge cannot say the change to: schedule = \"gpipe\"");
  EXPECT_EQ(
      refusal(shipped("qwen3-30b-a3b-h100-8.yaml"), {{"/recompute", recipes::Value::Object{{"mode", "selective"}}}}),
      "file: recipes of automodel cannot say the change to: recompute.mode = \"selective\"");
  EXPECT_EQ(refusal(shipped("llama3-70b-h100-64.py"), {{"/tp", 3}}),
            "after: /gpus: must be a multiple of tp*cp*pp = 3*1*8, got 64");
}

TEST(Edit, WhatCannotBeChangedAtItsPlaceIsRefused) {
  const std::string text =
      "# stepcast: model = llama3-8b\n# stepcast: system = h100\n# stepcast: gpus = 8\n"
      "base: &base\n  tensor_model_parallel_size: 1\n  seq_length: 8192\nmodel:\n  <<: *base\n  sequence_parallel: "
      "false\n"
      "train: {global_batch_size: 128, micro_batch_size: 1}\n";
  EXPECT_EQ(refusal(text, {{"/tp", 2}}),
            "file: line 5: model.tensor_model_parallel_size: cannot be changed here: it is inherited or split over "
            "lines, got 1");
}

}  // namespace
