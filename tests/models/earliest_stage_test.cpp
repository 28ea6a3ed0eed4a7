#include "models/earliest_stage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

namespace models {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// Against a plain list: whatever stages are set to, the first is at the list's minimum.
TEST(EarliestStage, IsTheMinimumOfAll) {
  std::mt19937 random(1);
  std::uniform_int_distribution<int> moment(0, 50);
  for (const int stages : {1, 2, 7, 8, 9, 63, 64, 65, 512, 4097}) {
    std::vector<double> list(static_cast<std::size_t>(stages), 3);
    EarliestStage tree(list.size(), 3);
    std::uniform_int_distribution<int> any_stage(0, stages - 1);
    for (int i = 0; i < 2000; ++i) {
      const int stage = i % 2 == 0 ? any_stage(random) : tree.first();
      const double when = stage > 0 && moment(random) == 0 ? kNever : moment(random);
      list[static_cast<std::size_t>(stage)] = when;
      tree.set(stage, when);
      ASSERT_LT(tree.first(), stages);
      ASSERT_EQ(tree.at(tree.first()), *std::ranges::min_element(list)) << stages << " " << i;
    }
  }
}

}  // namespace
}  // namespace models
