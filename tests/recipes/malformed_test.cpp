// Malformed recipes, one rule broken in each: refused with file, line and reason.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <ostream>
#include <string>

#include "hw/input_error.h"
#include "models/recipes/recipe.h"
#include "tests/recipes/shipped.h"

namespace {

struct Malformed {
  const char* file;  ///< of tests/recipes/malformed
  const char* line;  ///< how the refusal goes on behind the file's name
};

void PrintTo(const Malformed& malformed, std::ostream* out) { *out << malformed.file; }

constexpr Malformed kMalformed[] = {
    {"other_model.yaml",
     "line 7: model.num_layers: must be that of the model llama3-8b, 32; else state --model, got 4"},
    {"zero_tp.yaml", "line 5: model.tensor_model_parallel_size: must be a positive integer, got 0"},
    {"fractional_mbs.yaml", "line 9: train.micro_batch_size: must be a positive integer, got 1.5"},
    {"text_for_number.yaml", "line 6: model.seq_length: must be a positive integer, got long"},
    {"nan_batch.yaml", "line 8: train.global_batch_size: must be a positive integer, got .nan"},
    {"huge_number.yaml", "line 8: train.global_batch_size: must be a positive integer, got 99999999999999999999"},
    {"number_for_flag.yaml", "line 5: model.sequence_parallel: must be true or false, got 2"},
    {"twice.yaml", "line 7: model.seq_length: must be given once, is given twice"},
    {"two_lengths_differ.yaml",
     "line 11: dataset.sequence_length: must agree with model.seq_length on line 6 (8192), got 4096"},
    {"unknown_precision.yaml",
     "line 10: mixed_precision: must be one of bf16_mixed, bf16_with_fp8_current_scaling_mixed, "
     "bf16_with_fp8_delayed_scaling_mixed, bf16_with_fp8_subchannel_scaling_mixed, bf16_with_mxfp8_mixed, "
     "bf16_with_nvfp4_mixed, fp16_mixed, bf16-mixed (did you mean bf16_with_mxfp8_mixed?), got bf16_with_mxfp9_mixed"},
    {"open_bracket.yaml", "line 6: YAML: end of sequence flow not found"},
    {"tab_indent.yaml", "line 6: YAML: "},
    {"a_list.yaml", "line 1: must be keys with values"},
    {"modules_are_numbers.yaml", "line 6: model.recompute_modules: must be a list of words, got [1,2]"},
    {"instances_do_not_divide.yaml", "line 12: ddp.num_distributed_optimizer_instances: must divide dp*cp = 8, got 3"},
    {"unknown_strategy.yaml",
     "line 12: ddp.data_parallel_sharding_strategy: must be one of optim_grads_params, optim_grads, got all"},
    {"annotation_without_value.yaml", "line 1: must be `# stepcast: name = value`"},
    {"annotation_without_sign.py", "line 1: must be `# stepcast: name = value`"},
    {"no_value.py", "line 5: cfg.model.seq_length: needs a value"},
    {"open_quote.py", "line 8: a quote or bracket is not closed"},
    {"open_list.py", "line 8: a quote or bracket is not closed"},
    {"negative_vp.py", "line 8: model.virtual_pipeline_model_parallel_size: must be a positive integer, got -2"},
    {"word_for_flag.py", "line 8: ddp.overlap_grad_reduce: must be true or false, got \"yes\""},
    {"unknown_granularity.py",
     "line 8: model.recompute_granularity: must be one of null, selective, full (did you mean selective?), got "
     "\"selectiv\""},
    {"open_quote.sh", "line 7: a quote is not closed"},
    {"open_array.sh", "line 5: a `(` is not closed"},
    {"open_brace.sh", "line 7: a `{` is not closed"},
    {"unset_variable.sh", "line 6: --tensor-model-parallel-size: must be a positive integer, got $TP"},
    {"computed.sh", "line 9: --global-batch-size: must be a positive integer, got $((8 * 16))"},
    {"two_types.sh", "line 11: --fp16: must not be given beside --bf16"},
    {"value_for_switch.sh", "line 11: --sequence-parallel: is a switch, which takes no value, got 1"},
    {"no_value_for_flag.sh", "line 7: --seq-length: must be a positive integer, got nothing"},
    {"unknown_scaling.sh", "line 10: --fp8-recipe: must be one of tensorwise, delayed, blockwise, mxfp8, got tensor"},
    {"layers_do_not_divide.sh",
     "line 10: --num-layers-per-virtual-pipeline-stage: must, times the pipeline size, divide the model's 32 layers, "
     "got 5"},
    {"too_many_nodes.sh", "line 5: --nnodes: must give at most 2^30 GPUs, got 1000000000"},
    {"unknown_repository.yaml",
     "line 4: model.config.pretrained_model_name_or_path: must be the repository of a known model; else state --model, "
     "got Qwen/Qwen9"},
    {"replicas_do_not_divide.yaml", "line 13: distributed.dp_replicate_size: must divide dp*cp = 8, got 3"},
    {"odd_latents.yaml", "line 11: dataset.H_latents: must be even and at most 32768, got 103"},
    {"batches_differ.yaml",
     "line 13: dataset.global_batch_size: must agree with train.global_batch_size on line 7 (8), got 16"},
    {"twice.toml", "line 11: TOML: "},
    {"no_value.toml", "line 7: TOML: "},
    {"infinite.toml", "line 7: training.seq_len: must be a positive integer, got inf"},
    {"unknown_flavor.toml",
     "line 4: model.flavor: must be a flavor of llama3 that is described here; else state --model, got \"9B\""},
    {"unknown_schedule.toml",
     "line 12: parallelism.pipeline_parallel_schedule: must be one of 1F1B, Interleaved1F1B, GPipe, ZBVZeroBubble, got "
     "\"LoopedBFS\""},
    {"stages_are_no_multiple.toml",
     "line 12: parallelism.pipeline_parallel_layers_per_stage: must give a multiple of the pipeline's 3 ranks, gives 4 "
     "stages, got 8"},
    {"shards_do_not_fit.toml",
     "line 10: parallelism.data_parallel_shard_degree: must be, times replicas, gpus/(tp*cp*pp), got 8"},
    {"trailing_comma.json", "line 3, column 1: "},
    {"unknown_model.json", "line 2: model_type: unknown architecture, supported: "},
    {"empty.yaml", "line 1: is empty"},
    {"blank.sh", "line 1: is empty"},
    {"nul_byte.yaml", "line 6: must be text, got a NUL byte"},
    {"latin1.py", "line 8: must be UTF-8, got the byte \\xe9"},
    {"utf16.yaml", "line 1: must be "},
    {"prose.txt", "line 1: must be keys with values"},
    {"other.yaml",
     "line 1: must be a recipe of a known format (megatron-bridge, megatron-lm, automodel, dfm-megatron, "
     "dfm-automodel, torchtitan, hugging-face); state --format"},
    {"deep.yaml", "line 1: must not nest deeper than 64"},
    {"gpus_do_not_divide.yaml", "line 3: @gpus: must be a multiple of tp*cp*pp = 3*1*1, got 8"},
    {"batch_does_not_divide.yaml", "line 8: train.global_batch_size: must be a multiple of mbs*dp = 1*8, got 130"},
    {"unknown_machine.yaml", "line 2: @system: no description of that name"},
    {"module_nobody_knows.yaml",
     "line 6: model.recompute_modules: must be a module that recompute knows (did you mean \"mlp\"?), got \"mlpp\""},
};

std::filesystem::path folder() { return std::filesystem::path(STEPCAST_SOURCE_DIR) / "tests/recipes/malformed"; }

class MalformedRecipe : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedRecipe, IsRefusedWithLineAndReason) {
  models::Library library(recipes_test::data());
  const std::string file = GetParam().file;
  try {
    const recipes::Recipe recipe = recipes::read_recipe(recipes_test::read(folder() / file), file);
    recipes::checked_run(recipes::to_run(recipe, {}, library), library);
    ADD_FAILURE() << "is not refused";
  } catch (const hw::InputError& error) {
    const std::string what = error.what(), expected = file + ": " + GetParam().line;
    EXPECT_EQ(what.substr(0, expected.size()), expected) << what;
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, MalformedRecipe, ::testing::ValuesIn(kMalformed), [](const auto& malformed) {
  std::string name = malformed.param.file;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

TEST(MalformedRecipes, AreAllListed) {
  const auto files = std::distance(std::filesystem::directory_iterator(folder()), {});
  EXPECT_EQ(static_cast<std::size_t>(files), std::size(kMalformed));
}

}  // namespace
