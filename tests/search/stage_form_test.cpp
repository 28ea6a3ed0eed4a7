// How frameworks are told where layers lie.
#include "search/stage_form.h"

#include <gtest/gtest.h>

#include <string>

#include "search/framework.h"

namespace search {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;

std::string setting(const std::string& framework, const std::string& layout, int layers, int mtp, int stages) {
  models::Model model;
  model.layers.assign(static_cast<std::size_t>(layers), 0);
  model.mtp.depth = mtp;
  return stage_setting(read_framework(framework, {kRoot}).stage_form,
                       models::parse_stage_layout(layout, model, stages));
}

TEST(StageForm, MegatronTakesTheString) {
  EXPECT_EQ(setting("megatron-bridge", "Et*4|(t*4|)*14tmL", 61, 1, 16), "Et*4|(t*4|)*14tmL");
}

TEST(StageForm, TorchFrameworksTakeModules) {
  EXPECT_EQ(setting("torchtitan", "Et|t*2|L", 3, 0, 3),
            "[[\"tok_embeddings\", \"layers.0\"],\n [\"layers.1\", \"layers.2\"],\n [\"norm\", \"output\"]]");
  EXPECT_EQ(setting("automodel", "Et|tL", 2, 0, 2),
            "[[\"model.embed_tokens\", \"model.layers.0\", \"model.rotary_emb\"],\n"
            " [\"model.layers.1\", \"model.norm\", \"lm_head\", \"model.rotary_emb\"]]");
}

TEST(StageForm, SomeCannotBeTold) {
  EXPECT_EQ(setting("automodel", "Et|tmL", 2, 1, 2), "");  // no word for multi-token prediction
  for (const char* framework : {"nemo", "dfm-megatron", "generic", "llm-foundry"})
    EXPECT_EQ(setting(framework, "Et|tL", 2, 0, 2), "") << framework;
}

}  // namespace
}  // namespace search
