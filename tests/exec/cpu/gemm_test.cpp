#include "exec/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "exec/cpu/vectorized.h"
#include "tests/exec/cpu/table.h"

namespace exec::cpu {
namespace {

class GemmShapes : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Random, GemmShapes, testing::Range(0, 20));

TEST_P(GemmShapes, AreTheSumsOfProducts) {
  Random random(GetParam());
  const std::int64_t m = random.integer(1, 40), n = random.integer(1, 40), k = random.integer(0, 40);
  const bool transpose_a = random.coin(), transpose_b = random.coin();
  const double alpha = random.number(0.5, 2), beta = random.coin() ? 0 : random.number(-1, 1);
  const Table<double> a = transpose_a ? random.table(k, m) : random.table(m, k);
  const Table<double> b = transpose_b ? random.table(n, k) : random.table(k, n);
  Table<double> c = random.table(m, n);
  Table<float> c_float(c);
  Table<double> expected(m, n);
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      expected.at(i, j) = beta * c.at(i, j);
      for (std::int64_t l = 0; l < k; ++l)
        expected.at(i, j) += alpha * (transpose_a ? a.at(l, i) : a.at(i, l)) * (transpose_b ? b.at(j, l) : b.at(l, j));
    }
  if (beta == 0) c.fill(std::numeric_limits<double>::quiet_NaN());  // what c held must not matter
  gemm(a.view(), transpose_a, b.view(), transpose_b, beta, c.view(), alpha);
  expect_close(c, expected, 1e-14, "double");
  gemm(Table<float>(a).view(), transpose_a, Table<float>(b).view(), transpose_b, static_cast<float>(beta),
       c_float.view(), static_cast<float>(alpha));
  expect_close(c_float, expected, 1e-6, "float");
}

TEST_P(GemmShapes, BiasAndItsGradient) {
  Random random(GetParam());
  const std::int64_t rows = random.integer(1, 300), columns = random.integer(1, 40);
  Table<double> y = random.table(rows, columns), bias = random.table(1, columns), db = random.table(1, columns);
  Table<double> expected(y), expected_db(db);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) {
      expected_db.at(0, j) += y.at(i, j);
      expected.at(i, j) += bias.at(0, j);
    }
  Table<float> db_float(db);
  bias_gradient(y.view(), db.row(0));
  bias_gradient(Table<float>(y).view(), db_float.row(0));
  add_bias(y.view(), bias.row(0));
  expect_close(y, expected, 1e-15, "y");
  expect_close(db, expected_db, 1e-14, "db");
  expect_close(db_float, expected_db, 1e-6, "float db");
}

TEST(Exponential, OfFloatIsThatOfDouble) {
  for (double x = -86.5; x < 88.7; x += 0.0137) {
    const float rounded = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(rounded));
    ASSERT_NEAR(static_cast<double>(exponential(rounded)) / exact, 1, 2e-7) << rounded;
  }
  EXPECT_EQ(exponential(0.0F), 1.0F);
  EXPECT_EQ(exponential(-HUGE_VALF), 0.0F);
  EXPECT_EQ(exponential(HUGE_VALF), HUGE_VALF);
  EXPECT_TRUE(std::isnan(exponential(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace exec::cpu
