#include "exec/cpu/cross_entropy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/exec/cpu/table.h"

namespace exec::cpu {
namespace {

/// A vocabulary in shards of equal width: the last ones are part padding, or all of it.
struct Case {
  std::int64_t shards, width, vocabulary;
  Table<double> logits;  ///< [rows, shards * width]
  std::vector<std::int64_t> labels;

  std::int64_t valid(std::int64_t shard) const {
    return std::clamp<std::int64_t>(vocabulary - shard * width, 0, width);
  }
};

Case random_case(int seed) {
  Random random(seed);
  const std::int64_t shards = random.integer(1, 4), width = random.integer(1, 40), rows = random.integer(1, 6);
  Case c{shards, width, random.integer(1, shards * width), random.table(rows, shards * width, 5), {}};
  for (std::int64_t i = 0; i < rows; ++i) c.labels.push_back(random.integer(-1, c.vocabulary - 1));
  return c;
}

double directly(const Case& c) {
  double loss = 0;
  for (std::int64_t i = 0; i < c.logits.rows(); ++i) {
    const std::int64_t label = c.labels[static_cast<std::size_t>(i)];
    if (label < 0) continue;
    double sum = 0;
    for (std::int64_t j = 0; j < c.vocabulary; ++j) sum += std::exp(c.logits.at(i, j));
    loss += std::log(sum) - c.logits.at(i, label);
  }
  return loss;
}

template <typename T>
Table<T> combined(const Case& c) {
  const std::int64_t rows = c.logits.rows();
  const Table<T> logits(c.logits);
  Table<T> statistics(c.shards * rows, 3), all(rows, 3);
  for (std::int64_t shard = 0; shard < c.shards; ++shard)
    cross_entropy_statistics(logits.view().columns_from(shard * c.width, c.width), c.labels.data(), shard * c.width,
                             c.valid(shard), statistics.view().rows_from(shard * rows, rows));
  combine_statistics(statistics.view(), all.view());
  return all;
}

template <typename T>
double loss(const Case& c) {
  const Table<T> statistics = combined<T>(c);
  return cross_entropy_loss(statistics.view(), c.labels.data());
}

template <typename T>
Table<T> gradient(const Case& c, T factor) {
  const Table<T> statistics = combined<T>(c);
  Table<T> dlogits(c.logits);
  for (std::int64_t shard = 0; shard < c.shards; ++shard) {
    const Matrix<T> columns = dlogits.view().columns_from(shard * c.width, c.width);
    softmax_of_shard(columns, statistics.view(), c.valid(shard), columns);
    cross_entropy_gradient(columns, c.labels.data(), shard * c.width, factor, columns);
  }
  return dlogits;
}

class CrossEntropyShards : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Random, CrossEntropyShards, testing::Range(0, 30));

TEST_P(CrossEntropyShards, GiveTheLossAndGradientOfTheWhole) {
  Case c = random_case(GetParam());
  EXPECT_NEAR(loss<double>(c), directly(c), 1e-13 * (1 + directly(c)));
  EXPECT_NEAR(loss<float>(c), directly(c), 2e-6 * (1 + directly(c)));

  const Table<double> dlogits = gradient<double>(c, 0.25);
  expect_gradient([&] { return 0.25 * directly(c); }, c.logits, dlogits, "dlogits");
  expect_close(gradient<float>(c, 0.25F), dlogits, 1e-6, "float dlogits");

  Case whole = c;
  whole.width *= whole.shards;
  whole.shards = 1;
  expect_close(gradient<double>(whole, 0.25), dlogits, 1e-15, "unsharded");
}

TEST(CrossEntropy, OfLargeLogitsDoesNotOverflow) {
  // log(e^1000 + e^0) - 0 = 1000
  Table<float> logits(1, 2), statistics(1, 3);
  logits.at(0, 0) = 1000;
  const std::int64_t label = 1;
  cross_entropy_statistics(logits.view(), &label, 0, 2, statistics.view());
  EXPECT_EQ(cross_entropy_loss<float>(statistics.view(), &label), 1000);
}

}  // namespace
}  // namespace exec::cpu
