#include "models/model_flops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>

#include "hw/node.h"
#include "models/model.h"

namespace models {
namespace {

using C = FlopsConvention;

Model model_named(const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(STEPCAST_SOURCE_DIR) / "models" / (name + ".json");
  return parse_model(hw::Node::read_file(path), name);
}

double flops(const std::string& model, std::int64_t seq_len, C convention, int tp = 1) {
  return model_flops_per_token(model_named(model), seq_len, tp, convention).value;
}

/// A row of a published table that prints TFLOP/s per GPU beside tokens/s per GPU: their ratio is FLOPs per token.
struct Printed {
  std::string model;
  std::int64_t seq_len;
  int tp;
  C convention;
  double tflops, tokens;
};
void PrintTo(const Printed& row, std::ostream* out) { *out << row.model << " at " << row.seq_len; }

class PrintedFlops : public testing::TestWithParam<Printed> {};

TEST_P(PrintedFlops, Reproduced) {
  const Printed& row = GetParam();
  const double printed = row.tflops * 1e12 / row.tokens;
  // TFLOP/s are printed as integers: half a unit is what the ratio cannot say
  EXPECT_NEAR(flops(row.model, row.seq_len, row.convention, row.tp) / printed, 1, 0.0015 + 0.5 / row.tflops);
}

// NVIDIA-NeMo/Megatron-Bridge docs/performance-summary.md, release and system in the comment
INSTANTIATE_TEST_SUITE_P(
    MegatronBridge, PrintedFlops,
    testing::Values(Printed{"deepseek-v3", 4096, 1, C::megatron_bridge, 1648, 6338},              // 26.06 gb300 mxfp8
                    Printed{"gpt-oss-120b", 4096, 1, C::megatron_bridge, 1081, 33166},            // 26.06 gb300 mxfp8
                    Printed{"qwen3-30b-a3b", 4096, 1, C::megatron_bridge, 1041, 45275},           // 26.06 gb300 mxfp8
                    Printed{"qwen3-235b-a22b", 4096, 1, C::megatron_bridge, 1335, 9015},          // 26.06 gb300 mxfp8
                    Printed{"kimi-k2", 4096, 1, C::megatron_bridge, 1099, 5372},                  // 26.06 gb300 mxfp8
                    Printed{"nemotron3-nano", 8192, 1, C::megatron_bridge, 885, 39749},           // 26.06 gb300 mxfp8
                    Printed{"nemotron3-super", 8192, 1, C::megatron_bridge, 817, 9652},           // 26.06 gb300 mxfp8
                    Printed{"llama3-70b", 8192, 1, C::megatron_bridge_2604, 3321, 7397},          // 26.04 gb300 nvfp4
                    Printed{"deepseek-v3", 4096, 1, C::megatron_bridge_2604, 1290, 4965},         // 26.04 gb300 mxfp8
                    Printed{"gpt-oss-120b", 4096, 1, C::megatron_bridge_2604, 524, 19275},        // 26.04 gb300 bf16
                    Printed{"qwen3-30b-a3b", 4096, 1, C::megatron_bridge_2604, 724, 31470},       // 26.04 gb300 mxfp8
                    Printed{"qwen3-235b-a22b", 4096, 1, C::megatron_bridge_2604, 1035, 6994},     // 26.04 gb300 mxfp8
                    Printed{"nemotron3-nano", 8192, 1, C::megatron_bridge_2604, 849, 38102},      // 26.04 gb300 mxfp8
                    Printed{"nemotron3-super", 8192, 1, C::megatron_bridge_2604, 815, 9623},      // 26.04 gb300 nvfp4
                    Printed{"kimi-k2", 4096, 1, C::megatron_bridge_2604, 1090, 5332},             // 26.04 gb300 mxfp8
                    Printed{"llama3-8b", 8192, 1, C::megatron_bridge_2604, 1933, 37556},          // 25.11 gb300 fp8-cs
                    Printed{"deepseek-v3-nomtp", 4096, 1, C::megatron_bridge_2604, 961, 3848},    // 25.11 gb300 bf16
                    Printed{"gpt-oss-120b", 8192, 1, C::megatron_bridge_2604, 565, 18347},        // 25.11 gb300 bf16
                    Printed{"nemotron3-super", 4096, 1, C::megatron_bridge, 248.61, 2969.345}));  // 26.06 h100 bf16

// NVIDIA-NeMo/Automodel docs/performance-summary.mdx, H100 bf16
INSTANTIATE_TEST_SUITE_P(AutoModel, PrintedFlops,
                         testing::Values(Printed{"nemotron3-super-nomtp", 4096, 1, C::automodel_2025, 334, 4497},
                                         Printed{"nemotron3-nano", 4096, 1, C::automodel_2025, 328, 16789},
                                         Printed{"nemotron3-ultra", 4096, 1, C::automodel, 293, 815},
                                         Printed{"deepseek-v3-nomtp", 4096, 1, C::automodel, 250, 1002},
                                         Printed{"kimi-k2", 4096, 1, C::automodel, 189, 924},
                                         Printed{"qwen3-30b-a3b", 4096, 1, C::automodel, 277, 12040},
                                         Printed{"qwen3-30b-a3b", 4096, 1, C::automodel_2025_09, 212, 11842},
                                         Printed{"gpt-oss-20b", 4096, 1, C::automodel_2025, 279, 13058},
                                         Printed{"gpt-oss-120b", 4096, 1, C::automodel_2025, 231, 7626},
                                         Printed{"llama3-70b", 8192, 1, C::automodel, 389, 866.77}));

// mosaicml/llm-foundry scripts/train/benchmarking/README.md: MFU x peak (989.5 TFLOP/s) beside tokens/s
INSTANTIATE_TEST_SUITE_P(LlmFoundry, PrintedFlops,
                         testing::Values(Printed{"mpt-70b", 2048, 1, C::llm_foundry, 0.4125 * 989.5, 1007},
                                         Printed{"mpt-3b", 65536, 1, C::llm_foundry, 0.2681 * 989.5, 3262},
                                         Printed{"mpt-1b", 65536, 1, C::llm_foundry, 0.2634 * 989.5, 5506},
                                         Printed{"mpt-125m", 65536, 1, C::llm_foundry, 0.5413 * 312, 20368},
                                         Printed{"mpt-125m", 512, 1, C::llm_foundry, 0.4256 * 312, 165681}));

// NVIDIA-NeMo/DFM docs/performance-summary.md, version of 2025-11-19
INSTANTIATE_TEST_SUITE_P(Dfm, PrintedFlops,
                         testing::Values(Printed{"wan2.1-14b", 37440, 1, C::dfm, 787.59, 4747.17},
                                         Printed{"wan2.1-14b", 37440, 1, C::dfm, 1022.26, 6161.63},
                                         Printed{"wan2.1-14b", 37440, 1, C::dfm, 309.66, 1866.47}));

/// Transcribed from the table of models, whose figures follow the same formulas: guards against slips, not the formula.
struct Worked {
  std::string model;
  std::int64_t seq_len;
  C convention;
  double flops;
};
void PrintTo(const Worked& row, std::ostream* out) { *out << row.model; }

class WorkedFlops : public testing::TestWithParam<Worked> {};

TEST_P(WorkedFlops, ToTheUnit) {
  const Worked& row = GetParam();
  EXPECT_NEAR(flops(row.model, row.seq_len, row.convention) / row.flops, 1, 1e-12);
}

INSTANTIATE_TEST_SUITE_P(
    Models, WorkedFlops,
    testing::Values(
        Worked{"deepseek-v3", 4096, C::megatron_bridge, 259992950784},
        Worked{"deepseek-v3-nomtp", 4096, C::causal, 250449887232},
        Worked{"deepseek-v3-nomtp", 4096, C::full, 281152192512},
        Worked{"deepseek-v3-nomtp", 4096, C::megatron_bridge, 249812054016},
        Worked{"gpt-oss-120b", 4096, C::megatron_bridge, 32630404608},
        Worked{"gpt3-175b", 2048, C::causal, 1061947441152}, Worked{"gpt3-175b", 2048, C::full, 1076442955776},
        Worked{"kimi-k2", 4096, C::megatron_bridge, 204477394944}, Worked{"llama3-70b", 8192, C::causal, 449222541312},
        Worked{"llama3-70b", 8192, C::full, 481434796032}, Worked{"llama3-70b", 8192, C::megatron_bridge, 449222541312},
        Worked{"llama3-8b", 8192, C::causal, 51470401536}, Worked{"llama3-8b", 8192, C::full, 57912852480},
        Worked{"llama3-8b", 8192, C::megatron_bridge, 51470401536},
        Worked{"megatron-1t", 2048, C::causal, 6087927398400}, Worked{"megatron-1t", 2048, C::full, 6128192716800},
        Worked{"megatron-22b", 2048, C::causal, 135970947072}, Worked{"megatron-22b", 2048, C::full, 139594825728},
        Worked{"megatron-530b", 2048, C::causal, 3203609395200}, Worked{"megatron-530b", 2048, C::full, 3230033510400},
        Worked{"mpt-125m", 2048, C::causal, 854949888}, Worked{"mpt-125m", 2048, C::full, 968196096},
        Worked{"mpt-13b", 2048, C::causal, 79561359360}, Worked{"mpt-13b", 2048, C::full, 82077941760},
        Worked{"mpt-1b", 2048, C::causal, 8470659072}, Worked{"mpt-1b", 2048, C::full, 9074638848},
        Worked{"mpt-30b", 2048, C::causal, 183964139520}, Worked{"mpt-30b", 2048, C::full, 188191997952},
        Worked{"mpt-350m", 2048, C::causal, 2423390208}, Worked{"mpt-350m", 2048, C::full, 2725380096},
        Worked{"mpt-3b", 2048, C::causal, 16879779840}, Worked{"mpt-3b", 2048, C::full, 17886412800},
        Worked{"mpt-70b", 2048, C::causal, 397075808256}, Worked{"mpt-70b", 2048, C::full, 405128871936},
        Worked{"mpt-760m", 2048, C::causal, 4994039808}, Worked{"mpt-760m", 2048, C::full, 5447024640},
        Worked{"mpt-7b", 2048, C::causal, 41503162368}, Worked{"mpt-7b", 2048, C::full, 43113775104},
        Worked{"nemotron3-nano", 8192, C::megatron_bridge, 22278094848},
        Worked{"nemotron3-super", 8192, C::megatron_bridge, 84727037952},
        Worked{"nemotron3-ultra", 8192, C::megatron_bridge, 358914981888},
        Worked{"nemotron3.5-lightning", 8192, C::megatron_bridge, 28147236864},
        Worked{"qwen3-235b-a22b", 4096, C::causal, 148330512384},
        Worked{"qwen3-235b-a22b", 4096, C::full, 167255212032},
        Worked{"qwen3-235b-a22b", 4096, C::megatron_bridge, 148034813952},
        Worked{"qwen3-30b-a3b", 4096, C::megatron_bridge, 23006281728},
        Worked{"wan2.1-14b", 37440, C::megatron_bridge, 165173311435.48718},
        Worked{"zb-1.5b", 1024, C::causal, 9162326016}, Worked{"zb-1.5b", 1024, C::full, 9473753088},
        Worked{"zb-14.6b", 1024, C::causal, 89252167680}, Worked{"zb-14.6b", 1024, C::full, 90699202560},
        Worked{"zb-28.3b", 1024, C::causal, 172030427136}, Worked{"zb-28.3b", 1024, C::full, 174370848768},
        Worked{"zb-6.2b", 1024, C::causal, 37780193280}, Worked{"zb-6.2b", 1024, C::full, 38535168000}));

// Llama-3-8B at 8192 with LoRA: projections 6N' at two thirds, attention 6 L h S whole.
TEST(FlopsOfLora, FrozenWeightsHaveNoWeightGradient) {
  const Model model = model_named("llama3-8b");
  const double attention = 6.0 * 32 * 4096 * 8192, weights = 51470401536.0 - attention;
  EXPECT_NEAR(model_flops_per_token(model, 8192, 1, C::causal, {.lora = true, .trainable_fraction = 0}).value,
              weights * 2 / 3 + attention, 1);
  // AutoModel scales everything, by (2 + trainable / frozen) / 3; printed 402 TFLOP/s at 12472.87 tokens/s
  const TrainedPart part{.lora = true, .trainable_fraction = 41943040.0 / 8030261248.0};
  EXPECT_NEAR(model_flops_per_token(model, 4096, 1, C::automodel, part).value / (402e12 / 12472.87), 1, 0.0015);
}

// Megatron-Bridge 26.06, Llama-3-70B LoRA on SQuAD packed to 4096: TFLOP/s over tokens/s. The pack statistics are not
// published; 80 tokens of attention a token are fitted to these five rows, so this only guards the formula's scale.
TEST(FlopsOfLora, MegatronBridgePacked) {
  const Model model = model_named("llama3-70b");
  const TrainedPart part{.lora = true, .packed_mean_square = 80.0 * 4096};
  const double expected = model_flops_per_token(model, 4096, 1, C::megatron_bridge, part).value;
  const double printed[] = {2086e12 / 7481, 2072e12 / 7447, 1731e12 / 6206, 1663e12 / 5958, 735e12 / 2643};
  for (const double p : printed) EXPECT_NEAR(expected / p, 1, 0.0025);
}

TEST(FlopsOfVocabulary, PaddedByBridgeOnly) {  // 128256 = 1002 * 128: with tp 4 padded to 251 * 512 = 128512
  const double padding = 6.0 * 4096 * (128512 - 128256);
  EXPECT_DOUBLE_EQ(flops("llama3-8b", 8192, C::megatron_bridge, 4) - flops("llama3-8b", 8192, C::megatron_bridge),
                   padding);
  EXPECT_DOUBLE_EQ(flops("llama3-8b", 8192, C::causal, 4), flops("llama3-8b", 8192, C::causal));
}

TEST(FlopsOfMtp, CountedByCausal) {  // one more MoE layer at 4096, [2h -> h] and a second head
  const double h = 7168;
  const double attention = 1536 * (h + 128 * 192) + h * 576 + 512 * 128 * 256.0 + 128 * 128 * h;
  const double core = 128 * (192 + 128) * 2048.0, experts = 9 * 3 * h * 2048 + h * 256;
  const double extra = 6 * (attention + core + experts + 2 * h * h + h * 129280);
  EXPECT_NEAR(flops("deepseek-v3", 4096, C::causal) - flops("deepseek-v3-nomtp", 4096, C::causal), extra, 1);
}

TEST(FlopsOfParameters, SixN) { EXPECT_DOUBLE_EQ(flops("llama3-8b", 8192, C::six_n), 6.0 * 8030261248); }

TEST(FlopsOfFallback, DfmWithoutDiffusionIsCausal) {
  EXPECT_DOUBLE_EQ(flops("llama3-8b", 8192, C::dfm), flops("llama3-8b", 8192, C::causal));
}

}  // namespace
}  // namespace models
