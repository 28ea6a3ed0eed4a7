#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>

#include "hw/node.h"
#include "models/model.h"

namespace models {
namespace {

Model model_named(const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(STEPCAST_SOURCE_DIR) / "models" / (name + ".json");
  return parse_model(hw::Node::read_file(path), name);
}

struct Published {
  std::string name;
  std::int64_t total, active;
};
void PrintTo(const Published& row, std::ostream* out) { *out << row.name; }

class ParameterTotals : public testing::TestWithParam<Published> {};

TEST_P(ParameterTotals, ToTheUnit) {
  const ParameterCount count = count_parameters(model_named(GetParam().name));
  EXPECT_EQ(count.total, GetParam().total);
  EXPECT_EQ(count.active, GetParam().active);
}

// The project's table of models: totals of the checkpoints, of llm-foundry's benchmarking README (MPT) and of the
// papers' dimensions (arXiv 2205.05198, 2401.10241). Active: embedding and head once each, the top-k and shared
// experts, and one set of MTP weights.
INSTANTIATE_TEST_SUITE_P(
    Models, ParameterTotals,
    testing::Values(
        Published{"deepseek-v3", 682636487424, 38240398080}, Published{"deepseek-v3-nomtp", 671026419200, 37552297472},
        Published{"kimi-k2", 1026408232448, 32861500928}, Published{"gpt-oss-120b", 116829156672, 5711982912},
        Published{"gpt-oss-20b", 20914757184, 4187440704}, Published{"gpt3-175b", 174615846912, 174615846912},
        Published{"llama3-8b", 8030261248, 8030261248}, Published{"llama3-70b", 70553706496, 70553706496},
        Published{"megatron-22b", 22074273792, 22074273792}, Published{"megatron-530b", 529600819200, 529600819200},
        Published{"megatron-1t", 1008038758400, 1008038758400}, Published{"mpt-125m", 125311488, 125311488},
        Published{"mpt-350m", 355985408, 355985408}, Published{"mpt-760m", 760470528, 760470528},
        Published{"mpt-1b", 1315950592, 1315950592}, Published{"mpt-3b", 2651837440, 2651837440},
        Published{"mpt-7b", 6658859008, 6658859008}, Published{"mpt-13b", 12853954560, 12853954560},
        Published{"mpt-30b", 29975214080, 29975214080}, Published{"mpt-70b", 64862437376, 64862437376},
        Published{"nemotron3-nano", 31577940288, 3580076352}, Published{"nemotron3-super", 123611033088, 13015100928},
        Published{"nemotron3-super-nomtp", 120668707840, 12770237440},
        Published{"nemotron3-ultra", 560524603904, 56998408704},
        Published{"nemotron3.5-lightning", 32913266240, 3698103872}, Published{"qwen2.5-7b", 7615616512, 7615616512},
        Published{"qwen2.5-32b", 32763876352, 32763876352}, Published{"qwen3-30b-a3b", 30532122624, 3353032704},
        Published{"qwen3-235b-a22b", 235093634560, 22190763520}, Published{"wan2.1-14b", 14288491584, 14288491584},
        Published{"zb-1.5b", 1478172672, 1478172672}, Published{"zb-6.2b", 6176669696, 6176669696},
        Published{"zb-14.6b", 14642503680, 14642503680}, Published{"zb-28.3b", 28292923392, 28292923392},
        // Not in that table: dimensions and totals written from memory, still to be compared with huggingface.co
        Published{"llama2-7b", 6738415616, 6738415616}, Published{"llama2-13b", 13015864320, 13015864320},
        Published{"llama2-70b", 68976648192, 68976648192}, Published{"llama3.1-405b", 405853388800, 405853388800},
        Published{"llama3.2-1b", 1235814400, 1235814400}, Published{"llama3.2-3b", 3212749824, 3212749824},
        Published{"mistral-7b", 7241732096, 7241732096}, Published{"mixtral-8x7b", 46702792704, 12879925248},
        Published{"qwen3-8b", 8190735360, 8190735360}, Published{"qwen3-32b", 32762123264, 32762123264}));

// 1 layer, hidden 4, 2 heads of 2, ffn 8 ungated, vocab 10, 3 positions: attention 4*16 + 16 biases, MLP 64 + 12,
// two norms 16, tables 40 + 12, final norm 8.
TEST(ParameterCounts, HandWorkedGpt) {
  const auto node = hw::Node::parse(
      R"({"model_type":"gpt2","n_embd":4,"n_layer":1,"n_head":2,"n_inner":8,"n_positions":3,"vocab_size":10})", "t");
  const Model model = parse_model(node, "t");
  EXPECT_EQ(layer_parameters(model, model.kinds[0]), 80 + 76 + 16);
  EXPECT_EQ(count_parameters(model).total, 80 + 76 + 16 + 52 + 8);
}

TEST(ModelDescriptions, FamilyAndShape) {
  EXPECT_EQ(model_named("llama3-8b").family(), Family::dense);
  EXPECT_EQ(model_named("kimi-k2").family(), Family::moe);
  EXPECT_EQ(model_named("wan2.1-14b").family(), Family::dit);
  EXPECT_TRUE(model_named("nemotron3-nano").hybrid());
  EXPECT_FALSE(model_named("deepseek-v3").hybrid());
  const Model oss = model_named("gpt-oss-20b");
  ASSERT_EQ(oss.layers.size(), 24u);
  EXPECT_EQ(oss.kinds[static_cast<std::size_t>(oss.layers[0])].attention->window, 128);
  EXPECT_EQ(oss.kinds[static_cast<std::size_t>(oss.layers[1])].attention->window, 0);
  EXPECT_EQ(model_named("nemotron3-super").mtp.depth, 2);
  EXPECT_EQ(model_named("deepseek-v3").kinds.size(), 2u);  // MTP's layer is the last decoder layer's kind
}

TEST(ModelDescriptions, BiaslessMptEqualsTheCheckpoint) {  // mosaicml/mpt-7b: 6,649,286,656 parameters
  const auto node = hw::Node::parse(R"({"model_type":"mpt","d_model":4096,"n_layers":32,"n_heads":32,
      "expansion_ratio":4,"max_seq_len":2048,"vocab_size":50432,"no_bias":true,"attn_config":{"alibi":true}})",
                                    "t");
  EXPECT_EQ(count_parameters(parse_model(node, "t")).total, 6649286656);
}

}  // namespace
}  // namespace models
