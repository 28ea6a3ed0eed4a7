// The two kernels that are a Mamba-2 mixer's own: the causal convolution and the selective scan.
#include <gtest/gtest.h>

#include <cmath>

#include "exec/cpu/causal_conv.h"
#include "exec/cpu/selective_scan.h"
#include "tests/exec/cpu/table.h"

namespace exec::cpu {
namespace {

class MambaShapes : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Random, MambaShapes, testing::Range(0, 15));

TEST_P(MambaShapes, ConvolutionAndItsDerivative) {
  Random random(GetParam());
  const std::int64_t batch = random.integer(1, 3), length = random.integer(1, 7), channels = random.integer(1, 20);
  const std::int64_t kernel = random.integer(1, 4), rows = batch * length;
  const bool biased = random.coin();
  Table<double> x = random.table(rows, channels), weight = random.table(channels, kernel);
  Table<double> bias = random.table(1, channels), y(rows, channels), expected(rows, channels);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t c = 0; c < channels; ++c) {
      double sum = biased ? bias.at(0, c) : 0;
      for (std::int64_t back = 0; back < kernel && back <= i % length; ++back)
        sum += weight.at(c, kernel - 1 - back) * x.at(i - back, c);
      expected.at(i, c) = sum / (1 + std::exp(-sum));
    }
  const double* bias_row = biased ? bias.row(0) : nullptr;
  causal_conv(length, x.view(), weight.view(), bias_row, y.view());
  expect_close(y, expected, 1e-14, "y");
  Table<float> y_float(rows, channels);
  causal_conv(length, Table<float>(x).view(), Table<float>(weight).view(), biased ? Table<float>(bias).row(0) : nullptr,
              y_float.view());
  expect_close(y_float, expected, 1e-6, "float y");

  const Table<double> dy = random.table(rows, channels);
  Table<double> dx(rows, channels), dweight(channels, kernel), dbias(1, channels);
  causal_conv_backward(length, dy.view(), x.view(), weight.view(), bias_row, dx.view(), dweight.view(),
                       biased ? dbias.row(0) : nullptr);
  const auto loss = [&] {
    causal_conv(length, x.view(), weight.view(), bias_row, y.view());
    return weighted_sum(y, dy);
  };
  expect_gradient(loss, x, dx, "dx");
  expect_gradient(loss, weight, dweight, "dweight");
  expect_gradient(loss, bias, dbias, "dbias");
}

/// All that a scan reads or, as gradients, writes.
template <typename T>
struct Tables {
  Table<T> x, b, c, dt, parameters;  ///< parameters: rows dt_bias, a_log, skip

  ScanInputs<T> inputs() const {
    return {x.view(), b.view(), c.view(), dt.view(), parameters.row(0), parameters.row(1), parameters.row(2)};
  }
  ScanGradients<T> gradients() {
    return {x.view(), b.view(), c.view(), dt.view(), parameters.row(0), parameters.row(1), parameters.row(2)};
  }
};

template <typename T>
Tables<T> converted(const Tables<double>& from) {
  return {Table<T>(from.x), Table<T>(from.b), Table<T>(from.c), Table<T>(from.dt), Table<T>(from.parameters)};
}

ScanShape random_shape(Random& random, std::int64_t most) {
  ScanShape shape{.batch = random.integer(1, 2),
                  .length = random.integer(1, most),
                  .head_dim = random.integer(1, 3),
                  .groups = random.integer(1, 2),
                  .state = random.integer(1, 20)};
  shape.heads = shape.groups * random.integer(1, 2);
  return shape;
}

Tables<double> random_tables(const ScanShape& s, Random& random) {
  const std::int64_t rows = s.batch * s.length;
  return {random.table(rows, s.heads * s.head_dim), random.table(rows, s.groups * s.state),
          random.table(rows, s.groups * s.state), random.table(rows, s.heads, 2), random.table(3, s.heads)};
}

/// y_t = skip x_t + sum over s <= t of (decay of s+1..t) step_s (b_s c_t) x_s: the attention-like form, without states.
Table<double> directly(const ScanShape& s, const Tables<double>& in) {
  Table<double> y(in.x.rows(), in.x.columns());
  for (std::int64_t i = 0; i < y.rows(); ++i)
    for (std::int64_t column = 0; column < y.columns(); ++column) {
      const std::int64_t h = column / s.head_dim, group = h / (s.heads / s.groups);
      double decayed = 0;  // exponent of the decay from row `from` to row i
      y.at(i, column) = in.parameters.at(2, h) * in.x.at(i, column);
      for (std::int64_t from = i; from >= i / s.length * s.length; --from) {
        const double step = std::log(1 + std::exp(in.dt.at(from, h) + in.parameters.at(0, h)));
        double product = 0;
        for (std::int64_t n = 0; n < s.state; ++n)
          product += in.b.at(from, group * s.state + n) * in.c.at(i, group * s.state + n);
        y.at(i, column) += std::exp(decayed) * step * product * in.x.at(from, column);
        decayed -= std::exp(in.parameters.at(1, h)) * step;
      }
    }
  return y;
}

TEST_P(MambaShapes, ScanIsTheFormula) {
  Random random(GetParam());
  const ScanShape shape = random_shape(random, 150);
  const Tables<double> in = random_tables(shape, random);
  const Tables<float> in_float = converted<float>(in);
  Table<double> y(in.x.rows(), in.x.columns());
  Table<float> y_float(y);
  selective_scan(shape, in.inputs(), y.view());
  selective_scan(shape, in_float.inputs(), y_float.view());
  expect_close(y, directly(shape, in), 1e-13, "y");
  expect_close(y_float, y, 1e-5, "float y");
}

TEST_P(MambaShapes, ScanBackwardIsTheDerivative) {
  Random random(GetParam());
  const ScanShape shape = random_shape(random, GetParam() % 5 == 0 ? 140 : 6);  // 140: more than two chunks
  Tables<double> in = random_tables(shape, random), to = converted<double>(in);
  to.parameters.fill(0);
  const Table<double> dy = random.table(in.x.rows(), in.x.columns());
  Table<double> y(dy);
  selective_scan_backward(shape, in.inputs(), dy.view(), to.gradients());
  const auto loss = [&] {
    selective_scan(shape, in.inputs(), y.view());
    return weighted_sum(y, dy);
  };
  expect_gradient(loss, in.x, to.x, "dx");
  expect_gradient(loss, in.b, to.b, "db");
  expect_gradient(loss, in.c, to.c, "dc");
  expect_gradient(loss, in.dt, to.dt, "ddt");
  expect_gradient(loss, in.parameters, to.parameters, "dt_bias, a_log, skip");

  Tables<float> to_float = converted<float>(to);
  to_float.parameters.fill(0);
  const Tables<float> in_float = converted<float>(in);
  selective_scan_backward(shape, in_float.inputs(), Table<float>(dy).view(), to_float.gradients());
  expect_close(to_float.x, to.x, 2e-5, "float dx");
  expect_close(to_float.b, to.b, 2e-5, "float db");
  expect_close(to_float.parameters, to.parameters, 2e-5, "float dt_bias, a_log, skip");
}

}  // namespace
}  // namespace exec::cpu
