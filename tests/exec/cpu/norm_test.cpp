#include "exec/cpu/norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/exec/cpu/table.h"

namespace exec::cpu {
namespace {

constexpr double kEps = 1e-3;  // large, so that a misplaced one shows

struct Case {
  models::Norm kind;
  NormGroups groups;
  Table<double> x, weight, bias;  ///< weight and bias: one row
  bool affine;
};

Case random_case(int seed) {
  Random random(seed);
  const models::Norm kind = random.coin() ? models::Norm::rms : models::Norm::layer;
  const NormGroups groups{.first = random.integer(0, 3),
                          .groups = random.integer(1, 4),
                          .width = random.integer(2, 40),
                          .shared_weight = random.coin()};
  const std::int64_t weights = groups.width * (groups.shared_weight ? 1 : groups.groups);
  return {kind,
          groups,
          random.table(random.integer(1, 6), groups.first + groups.groups * groups.width + 2),
          random.table(1, weights),
          random.table(1, weights),
          random.integer(0, 3) > 0};
}

Table<double> directly(const Case& c) {
  Table<double> y(c.x);
  for (std::int64_t i = 0; i < y.rows(); ++i)
    for (std::int64_t g = 0; g < c.groups.groups; ++g) {
      const std::int64_t first = c.groups.first + g * c.groups.width, last = first + c.groups.width;
      const double n = static_cast<double>(c.groups.width);
      double mean = 0, variance = 0;
      for (std::int64_t j = first; j < last; ++j) mean += c.x.at(i, j) / n;
      if (c.kind == models::Norm::rms) mean = 0;
      for (std::int64_t j = first; j < last; ++j) variance += std::pow(c.x.at(i, j) - mean, 2) / n;
      for (std::int64_t j = first; j < last; ++j) {
        const std::int64_t w = j - first + (c.groups.shared_weight ? 0 : g * c.groups.width);
        y.at(i, j) = (c.x.at(i, j) - mean) / std::sqrt(variance + kEps);
        if (c.affine) y.at(i, j) = y.at(i, j) * c.weight.at(0, w) + c.bias.at(0, w);
      }
    }
  return y;
}

template <typename T>
Table<T> forward(const Case& c) {
  const Table<T> x(c.x), weight(c.weight), bias(c.bias);
  Table<T> y(c.x);  // columns outside the groups keep what y holds
  norm(c.kind, c.groups, x.view(), c.affine ? weight.row(0) : nullptr, c.affine ? bias.row(0) : nullptr, kEps,
       y.view());
  return y;
}

class NormShapes : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Random, NormShapes, testing::Range(0, 40));

TEST_P(NormShapes, ForwardIsTheFormula) {
  const Case c = random_case(GetParam());
  expect_close(forward<double>(c), directly(c), 1e-13, "double");
  expect_close(forward<float>(c), directly(c), 2e-6, "float");
}

TEST_P(NormShapes, BackwardIsTheDerivative) {
  Case c = random_case(GetParam());
  const Table<double> dy = Random(GetParam() + 1000).table(c.x.rows(), c.x.columns());
  Table<double> dx(dy);  // in place: dx is dy, and the columns outside the groups pass their gradient on
  Table<double> dweight(1, c.weight.columns()), dbias(1, c.weight.columns());
  norm_backward(c.kind, c.groups, dx.view(), c.x.view(), c.affine ? c.weight.row(0) : nullptr, kEps, dx.view(),
                c.affine ? dweight.row(0) : nullptr, c.affine ? dbias.row(0) : nullptr);
  const auto loss = [&] { return weighted_sum(forward<double>(c), dy); };
  expect_gradient(loss, c.x, dx, "dx");
  expect_gradient(loss, c.weight, dweight, "dweight");
  expect_gradient(loss, c.bias, dbias, "dbias");

  Table<float> dx_float(dy), dweight_float(1, c.weight.columns());
  norm_backward(c.kind, c.groups, dx_float.view(), Table<float>(c.x).view(),
                c.affine ? Table<float>(c.weight).row(0) : nullptr, kEps, dx_float.view(),
                c.affine ? dweight_float.row(0) : nullptr, nullptr);
  expect_close(dx_float, dx, 1e-5, "float dx");
  expect_close(dweight_float, dweight, 1e-5, "float dweight");
}

TEST(Norm, GradientsOfParametersAreAddedTo) {
  // x = (3, 4), rms without eps: sqrt(12.5). dweight = dy x / rms on top of the 5 that was there.
  const Table<double> x = [] {
    Table<double> t(1, 2);
    t.at(0, 0) = 3;
    t.at(0, 1) = 4;
    return t;
  }();
  Table<double> dy(1, 2), dx(1, 2), weight(1, 2), dweight(1, 2);
  dy.fill(1);
  weight.fill(2);
  dweight.fill(5);
  norm_backward(models::Norm::rms, whole_row(2), dy.view(), x.view(), weight.row(0), 0, dx.view(), dweight.row(0),
                nullptr);
  EXPECT_NEAR(dweight.at(0, 0), 5 + 3 / std::sqrt(12.5), 1e-14);
  EXPECT_NEAR(dweight.at(0, 1), 5 + 4 / std::sqrt(12.5), 1e-14);
}

}  // namespace
}  // namespace exec::cpu
