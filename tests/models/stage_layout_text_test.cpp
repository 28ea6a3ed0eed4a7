#include "models/stage_layout_text.h"

#include <gtest/gtest.h>

#include <string>

namespace models {
namespace {

Model layers_only(int layers, int mtp) {
  Model model;
  model.layers.assign(static_cast<std::size_t>(layers), 0);
  model.mtp.depth = mtp;
  return model;
}

struct Written {
  int layers, mtp, stages;
  std::string text;  ///< as written
};

// What people write is written as they write it, and read back as the same placement.
TEST(StageLayoutText, ReadsBackAsItself) {
  const Written cases[] = {{61, 1, 16, "Et*4|(t*4|)*14tmL"},
                           {61, 1, 8, "Et*8|(t*8|)*6t*5mL"},
                           {61, 1, 32, "Et|(t*2|)*30mL"},
                           {61, 1, 32, "Et*3|(t*2|)*29m|L"},
                           {8, 0, 4, "E|t*4|t*4|L"},
                           {3, 2, 2, "Et*2|tmL"},
                           {4, 0, 1, "Et*4L"}};
  for (const Written& each : cases) {
    const Model model = layers_only(each.layers, each.mtp);
    EXPECT_EQ(stage_layout_text(parse_stage_layout(each.text, model, each.stages)), each.text);
  }
}

// Depths that lie apart have a letter each.
TEST(StageLayoutText, WritesDepthsThatLieApart) {
  const Model model = layers_only(4, 3);
  const auto chunks = parse_stage_layout("Et*2|t*2m|mmL", model, 3);
  const std::string text = stage_layout_text(chunks);
  EXPECT_EQ(text, "Et*2|t*2m|m*2L");
  EXPECT_EQ(parse_stage_layout(text, model, 3), chunks);
}

}  // namespace
}  // namespace models
