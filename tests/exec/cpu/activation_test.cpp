#include "exec/cpu/activation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "tests/exec/cpu/table.h"

namespace exec::cpu {
namespace {

using models::Activation;

double f(Activation activation, double x) {
  switch (activation) {
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::gelu: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::relu2: return x > 0 ? x * x : 0;
    case Activation::swiglu_clamped: return std::min(x, 7.0) / (1 + std::exp(-1.702 * std::min(x, 7.0)));
  }
  return 0;
}

double gated(Activation activation, double gate, double up) {
  return f(activation, gate) * (activation == Activation::swiglu_clamped ? std::clamp(up, -7.0, 7.0) + 1 : up);
}

class Activations : public testing::TestWithParam<std::tuple<Activation, int>> {
 protected:
  const Activation activation_ = std::get<0>(GetParam());
  Random random_{std::get<1>(GetParam())};
  const std::int64_t rows_ = random_.integer(1, 5), columns_ = random_.integer(1, 40);
};
INSTANTIATE_TEST_SUITE_P(Random, Activations,
                         testing::Combine(testing::Values(Activation::silu, Activation::gelu, Activation::relu2,
                                                          Activation::swiglu_clamped),
                                          testing::Range(0, 5)));

TEST_P(Activations, UngatedAndItsDerivative) {
  if (activation_ == Activation::swiglu_clamped) return;  // exists gated only
  Table<double> x = random_.table(rows_, columns_, 6), y(rows_, columns_), expected(rows_, columns_);
  for (std::int64_t i = 0; i < rows_; ++i)
    for (std::int64_t j = 0; j < columns_; ++j) expected.at(i, j) = f(activation_, x.at(i, j));
  Table<float> y_float(x);
  activate(activation_, x.view(), y.view());
  activate(activation_, y_float.view(), y_float.view());
  expect_close(y, expected, 1e-14, "double");
  expect_close(y_float, expected, 3e-6, "float");

  const Table<double> dy = random_.table(rows_, columns_);
  Table<double> dx(dy);
  activate_backward(activation_, dx.view(), x.view(), dx.view());
  const auto loss = [&] {
    activate(activation_, x.view(), y.view());
    return weighted_sum(y, dy);
  };
  expect_gradient(loss, x, dx, "dx");
  Table<float> dx_float(dy);
  activate_backward(activation_, dx_float.view(), Table<float>(x).view(), dx_float.view());
  expect_close(dx_float, dx, 3e-6, "float dx");
}

TEST_P(Activations, GatedAndItsDerivative) {
  Table<double> x = random_.table(rows_, 2 * columns_, 9), y(rows_, columns_), expected(rows_, columns_);
  const Matrix<double> gate = x.view().columns_from(0, columns_), up = x.view().columns_from(columns_, columns_);
  for (std::int64_t i = 0; i < rows_; ++i)
    for (std::int64_t j = 0; j < columns_; ++j) expected.at(i, j) = gated(activation_, gate.row(i)[j], up.row(i)[j]);
  activate_gated(activation_, gate, up, y.view());
  expect_close(y, expected, 1e-14, "double");
  Table<float> x_float(x), y_float(rows_, columns_);
  const Matrix<float> gate_float = x_float.view().columns_from(0, columns_);
  const Matrix<float> up_float = x_float.view().columns_from(columns_, columns_);
  activate_gated(activation_, gate_float, up_float, y_float.view());
  expect_close(y_float, expected, 3e-6, "float");

  const Table<double> dy = random_.table(rows_, columns_);
  Table<double> dx(x);  // in place: dgate is gate, dup is up
  const Matrix<double> dgate = dx.view().columns_from(0, columns_), dup = dx.view().columns_from(columns_, columns_);
  activate_gated_backward(activation_, dy.view(), dgate, dup, dgate, dup);
  const auto loss = [&] {
    activate_gated(activation_, gate, up, y.view());
    return weighted_sum(y, dy);
  };
  expect_gradient(loss, x, dx, "dx");
  activate_gated_backward(activation_, Table<float>(dy).view(), gate_float, up_float, gate_float, up_float);
  expect_close(x_float, dx, 3e-6, "float dx");
}

}  // namespace
}  // namespace exec::cpu
