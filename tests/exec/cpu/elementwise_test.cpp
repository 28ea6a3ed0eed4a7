#include "exec/cpu/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/exec/cpu/table.h"

namespace exec::cpu {
namespace {

class ElementwiseShapes : public testing::TestWithParam<int> {
 protected:
  Random random_{GetParam()};
  const std::int64_t batch_ = random_.integer(1, 3), length_ = random_.integer(1, 4), columns_ = random_.integer(1, 40);
  const std::int64_t rows_ = batch_ * length_;
  Table<double> x_ = random_.table(rows_, columns_), h_ = random_.table(rows_, columns_);
  Table<double> scale_ = random_.table(batch_, columns_), shift_ = random_.table(batch_, columns_);
  const Table<double> dy_ = random_.table(rows_, columns_);
  Table<double> y_{rows_, columns_}, expected_{rows_, columns_};

  template <typename F>
  void expect(F f) {
    for (std::int64_t i = 0; i < rows_; ++i)
      for (std::int64_t j = 0; j < columns_; ++j) expected_.at(i, j) = f(i, i / length_, j);
    expect_close(y_, expected_, 1e-15, "y");
  }
};
INSTANTIATE_TEST_SUITE_P(Random, ElementwiseShapes, testing::Range(0, 10));

TEST_P(ElementwiseShapes, Add) {
  add(x_.view(), h_.view(), y_.view());
  expect([&](auto i, auto, auto j) { return x_.at(i, j) + h_.at(i, j); });
  add_to(y_.view(), x_.view());
  expect([&](auto i, auto, auto j) { return 2 * x_.at(i, j) + h_.at(i, j); });
}

TEST_P(ElementwiseShapes, ModulateAndItsDerivative) {
  modulate(x_.view(), scale_.view(), shift_.view(), y_.view());
  expect([&](auto i, auto b, auto j) { return x_.at(i, j) * (1 + scale_.at(b, j)) + shift_.at(b, j); });
  Table<float> y_float(x_);
  modulate(y_float.view(), Table<float>(scale_).view(), Table<float>(shift_).view(), y_float.view());
  expect_close(y_float, expected_, 1e-6, "float y");

  Table<double> dx(dy_), dscale(batch_, columns_), dshift(batch_, columns_);
  modulate_backward(dx.view(), x_.view(), scale_.view(), dx.view(), dscale.view(), dshift.view());
  const auto loss = [&] {
    modulate(x_.view(), scale_.view(), shift_.view(), y_.view());
    return weighted_sum(y_, dy_);
  };
  expect_gradient(loss, x_, dx, "dx");
  expect_gradient(loss, scale_, dscale, "dscale");
  expect_gradient(loss, shift_, dshift, "dshift");
}

TEST_P(ElementwiseShapes, GatedResidualAndItsDerivative) {
  gated_residual(x_.view(), h_.view(), scale_.view(), y_.view());
  expect([&](auto i, auto b, auto j) { return x_.at(i, j) + scale_.at(b, j) * h_.at(i, j); });

  Table<double> dh(dy_), dgate(batch_, columns_);
  gated_residual_backward(dh.view(), h_.view(), scale_.view(), dh.view(), dgate.view());
  const auto loss = [&] {
    gated_residual(x_.view(), h_.view(), scale_.view(), y_.view());
    return weighted_sum(y_, dy_);
  };
  expect_gradient(loss, x_, dy_, "dx");
  expect_gradient(loss, h_, dh, "dh");
  expect_gradient(loss, scale_, dgate, "dgate");
}

TEST_P(ElementwiseShapes, SigmoidGateAndItsDerivative) {
  sigmoid_gate(x_.view(), h_.view(), y_.view());
  expect([&](auto i, auto, auto j) { return x_.at(i, j) / (1 + std::exp(-h_.at(i, j))); });
  Table<float> y_float(x_);
  sigmoid_gate(y_float.view(), Table<float>(h_).view(), y_float.view());
  expect_close(y_float, expected_, 1e-6, "float y");

  Table<double> dx(dy_), dgate(h_);
  sigmoid_gate_backward(dx.view(), x_.view(), dgate.view(), dx.view(), dgate.view());
  const auto loss = [&] {
    sigmoid_gate(x_.view(), h_.view(), y_.view());
    return weighted_sum(y_, dy_);
  };
  expect_gradient(loss, x_, dx, "dx");
  expect_gradient(loss, h_, dgate, "dgate");
}

}  // namespace
}  // namespace exec::cpu
