#include "exec/cpu/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/exec/cpu/table.h"

namespace exec::cpu {
namespace {

struct Case {
  RotaryColumns columns;
  Table<double> x, cosine, sine;
};

Case random_case(int seed) {
  Random random(seed);
  RotaryColumns columns{.first = random.integer(0, 4),
                        .heads = random.integer(1, 3),
                        .offset = random.integer(0, 5),
                        .rotary = 2 * random.integer(1, 20),
                        .interleaved = random.coin()};
  columns.head_dim = columns.offset + columns.rotary + random.integer(0, 3);
  const std::int64_t rows = random.integer(1, 5), half = columns.rotary / 2;
  Case c{columns, random.table(rows, columns.first + columns.heads * columns.head_dim + 1), random.table(rows, half, 3),
         Table<double>(rows, half)};
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < half; ++j) {
      const double angle = c.cosine.at(i, j);
      c.cosine.at(i, j) = std::cos(angle);
      c.sine.at(i, j) = std::sin(angle);
    }
  return c;
}

/// By complex numbers: pair (a, b) is a + ib, times cos + i sin.
Table<double> directly(const Case& c) {
  Table<double> y(c.x);
  const std::int64_t half = c.columns.rotary / 2;
  for (std::int64_t i = 0; i < y.rows(); ++i)
    for (std::int64_t head = 0; head < c.columns.heads; ++head)
      for (std::int64_t p = 0; p < half; ++p) {
        const std::int64_t base = c.columns.first + head * c.columns.head_dim + c.columns.offset;
        const std::int64_t a = base + (c.columns.interleaved ? 2 * p : p);
        const std::int64_t b = c.columns.interleaved ? a + 1 : a + half;
        y.at(i, a) = c.x.at(i, a) * c.cosine.at(i, p) - c.x.at(i, b) * c.sine.at(i, p);
        y.at(i, b) = c.x.at(i, b) * c.cosine.at(i, p) + c.x.at(i, a) * c.sine.at(i, p);
      }
  return y;
}

class RopeShapes : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Random, RopeShapes, testing::Range(0, 20));

TEST_P(RopeShapes, TurnPairsAndBack) {
  Case c = random_case(GetParam());
  Table<double> y(c.x);  // columns outside the heads keep what y holds
  rotate(c.columns, Rotation::forward, c.x.view(), c.cosine.view(), c.sine.view(), y.view());
  expect_close(y, directly(c), 1e-15, "double");

  Table<float> in_place(c.x);
  rotate(c.columns, Rotation::forward, in_place.view(), Table<float>(c.cosine).view(), Table<float>(c.sine).view(),
         in_place.view());
  expect_close(in_place, y, 1e-6, "float");

  rotate(c.columns, Rotation::backward, y.view(), c.cosine.view(), c.sine.view(), y.view());
  expect_close(y, c.x, 1e-15, "there and back");
}

TEST_P(RopeShapes, BackwardIsTheDerivative) {
  Case c = random_case(GetParam());
  const Table<double> dy = Random(GetParam() + 1000).table(c.x.rows(), c.x.columns());
  Table<double> dx(dy);
  rotate(c.columns, Rotation::backward, dy.view(), c.cosine.view(), c.sine.view(), dx.view());
  const auto loss = [&] {
    Table<double> y(c.x);
    rotate(c.columns, Rotation::forward, c.x.view(), c.cosine.view(), c.sine.view(), y.view());
    return weighted_sum(y, dy);
  };
  expect_gradient(loss, c.x, dx, "dx");
}

}  // namespace
}  // namespace exec::cpu
