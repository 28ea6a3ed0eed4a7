#include "exec/cpu/embedding.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/exec/cpu/table.h"

namespace exec::cpu {
namespace {

class EmbeddingShapes : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Random, EmbeddingShapes, testing::Range(0, 10));

/// The vocabulary is cut in two at `cut`; each id is in one shard, and gradients of repeated ids add up.
TEST_P(EmbeddingShapes, ShardsAddUpToTheTable) {
  Random random(GetParam());
  const std::int64_t vocabulary = random.integer(2, 9), cut = random.integer(1, vocabulary - 1);
  const std::int64_t rows = random.integer(1, 12), h = random.integer(1, 20);
  const Table<double> table = random.table(vocabulary, h), dy = random.table(rows, h);
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < rows; ++i) ids.push_back(random.integer(0, vocabulary - 1));

  Table<double> low(rows, h), high(rows, h), expected(rows, h), dtable(vocabulary, h), dexpected(vocabulary, h);
  embed(ids.data(), table.view().rows_from(0, cut), 0, low.view());
  embed(ids.data(), table.view().rows_from(cut, vocabulary - cut), cut, high.view());
  embed_backward(ids.data(), dy.view(), 0, dtable.view().rows_from(0, cut));
  embed_backward(ids.data(), dy.view(), cut, dtable.view().rows_from(cut, vocabulary - cut));
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < h; ++j) {
      const std::int64_t id = ids[static_cast<std::size_t>(i)];
      expected.at(i, j) = table.at(id, j);
      EXPECT_EQ((id < cut ? high : low).at(i, j), 0);
      low.at(i, j) += high.at(i, j);
      dexpected.at(id, j) += dy.at(i, j);
    }
  expect_close(low, expected, 0, "out");
  expect_close(dtable, dexpected, 0, "dtable");
  Table<float> dtable_float(vocabulary, h);
  embed_backward(ids.data(), Table<float>(dy).view(), 0, dtable_float.view());
  expect_close(dtable_float, dexpected, 1e-6, "float dtable");
}

}  // namespace
}  // namespace exec::cpu
