#include "search/placement.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <string>

namespace search {
namespace {

models::Model layers_only(int layers, int mtp) {
  models::Model model;
  model.layers.assign(static_cast<std::size_t>(layers), 0);
  model.mtp.depth = mtp;
  return model;
}

TEST(Placement, SaysWhatStageLayoutsSay) {
  const models::Model model = layers_only(61, 1);
  for (const char* text : {"Et*4|(t*4|)*14tmL", "Et*3|(t*2|)*29m|L", "E|t*61|mL", "Et*8|(t*8|)*6t*5mL"}) {
    const std::string whole = text;
    const int stages = whole.find("29") != std::string::npos   ? 32
                       : whole.find("14") != std::string::npos ? 16
                       : whole.starts_with("E|")               ? 3
                                                               : 8;
    const auto chunks = models::parse_stage_layout(whole, model, stages);
    EXPECT_EQ(chunks_of(sizes_of(chunks, model), model), chunks) << whole;
  }
}

TEST(Placement, SaysWhatEvenSplitsSay) {
  for (const int mtp : {0, 2}) {
    const models::Model model = layers_only(14, mtp);
    for (const bool count_ends : {false, true}) {
      const auto chunks = models::split_stages(model, 4, count_ends);
      EXPECT_EQ(chunks_of(sizes_of(chunks, model), model), chunks);
    }
  }
}

// Nine elements into four chunks: 8 over 3 = 56 ways, each once.
TEST(Placement, VisitsEveryWayOnce) {
  std::set<ChunkSizes> seen;
  ChunkSizes sizes = first_placement(9, 4);
  do {
    EXPECT_EQ(std::accumulate(sizes.begin(), sizes.end(), 0), 9);
    EXPECT_TRUE(seen.insert(sizes).second);
  } while (next_placement(sizes));
  EXPECT_EQ(seen.size(), 56u);
  EXPECT_EQ(placements(9, 4, 1000), 56);
  EXPECT_EQ(placements(200, 40, 1000), 1000);  // at most what was asked for
  EXPECT_EQ(placements(9, 1, 1000), 1);
}

}  // namespace
}  // namespace search
