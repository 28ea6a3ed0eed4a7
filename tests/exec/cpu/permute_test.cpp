#include "exec/cpu/permute.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/exec/cpu/table.h"

namespace exec::cpu {
namespace {

class PermuteShapes : public testing::TestWithParam<int> {
 protected:
  std::vector<std::int32_t> indices(std::int64_t count, std::int64_t least, std::int64_t rows) {
    std::vector<std::int32_t> result;
    for (std::int64_t i = 0; i < count; ++i)
      result.push_back(static_cast<std::int32_t>(random_.integer(least, rows - 1)));
    return result;
  }
  Random random_{GetParam()};
  const std::int64_t rows_ = random_.integer(1, 8), columns_ = random_.integer(1, 40);
};
INSTANTIATE_TEST_SUITE_P(Random, PermuteShapes, testing::Range(0, 10));

TEST_P(PermuteShapes, GatherAndItsDerivative) {
  Table<double> x = random_.table(rows_, columns_);
  const std::vector<std::int32_t> index = indices(random_.integer(1, 12), -1, rows_);
  const auto count = static_cast<std::int64_t>(index.size());
  Table<double> y(count, columns_), expected(count, columns_), dx(rows_, columns_);
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t j = 0; j < columns_; ++j) {
      const std::int32_t from = index[static_cast<std::size_t>(i)];
      expected.at(i, j) = from < 0 ? 0 : x.at(from, j);
    }
  gather_rows(x.view(), index.data(), y.view());
  expect_close(y, expected, 0, "y");

  const Table<double> dy = random_.table(count, columns_);
  scatter_add_rows(dy.view(), index.data(), dx.view());
  const auto loss = [&] {
    gather_rows(x.view(), index.data(), y.view());
    return weighted_sum(y, dy);
  };
  expect_gradient(loss, x, dx, "dx");
}

TEST_P(PermuteShapes, CombineAndItsDerivative) {
  const std::int64_t tokens = random_.integer(1, 6), k = random_.integer(1, 4);
  Table<double> x = random_.table(rows_, columns_), weights = random_.table(tokens, k);
  const std::vector<std::int32_t> position = indices(tokens * k, -1, rows_);
  Table<double> y(tokens, columns_), expected(tokens, columns_);
  for (std::int64_t i = 0; i < tokens * k; ++i)
    for (std::int64_t j = 0; j < columns_; ++j) {
      const std::int32_t from = position[static_cast<std::size_t>(i)];
      if (from >= 0) expected.at(i / k, j) += weights.at(i / k, i % k) * x.at(from, j);
    }
  weighted_combine(x.view(), position.data(), weights.view(), y.view());
  expect_close(y, expected, 1e-15, "y");
  Table<float> y_float(tokens, columns_);
  weighted_combine(Table<float>(x).view(), position.data(), Table<float>(weights).view(), y_float.view());
  expect_close(y_float, expected, 1e-6, "float y");

  const Table<double> dy = random_.table(tokens, columns_);
  Table<double> dx = random_.table(rows_, columns_), dweights = random_.table(tokens, k);  // overwritten
  weighted_combine_backward(dy.view(), x.view(), position.data(), weights.view(), dx.view(), dweights.view());
  const auto loss = [&] {
    weighted_combine(x.view(), position.data(), weights.view(), y.view());
    return weighted_sum(y, dy);
  };
  expect_gradient(loss, x, dx, "dx");
  expect_gradient(loss, weights, dweights, "dweights");
}

}  // namespace
}  // namespace exec::cpu
