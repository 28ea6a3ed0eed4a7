#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <tuple>
#include <vector>

#include "exec/cpu/gemm.h"
#include "exec/cpu/onednn_matmul.h"

namespace exec::cpu {
namespace {

/// Random numbers that bf16 holds, in rows of `stride` elements.
struct Operand {
  std::int64_t rows, columns, stride;
  std::vector<BFloat16> narrow;
  std::vector<float> wide;

  Operand(std::int64_t its_rows, std::int64_t its_columns, std::int64_t its_stride, unsigned seed)
      : rows(its_rows), columns(its_columns), stride(its_stride) {
    std::mt19937 engine(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (std::int64_t i = 0; i < rows * stride; ++i) {
      narrow.push_back(to_bfloat16(uniform(engine)));
      wide.push_back(to_float(narrow.back()));
    }
  }
  Matrix<const BFloat16> in_bf16() const { return {narrow.data(), rows, columns, stride}; }
  Matrix<const float> in_fp32() const { return {wide.data(), rows, columns, stride}; }
};

struct Shape {
  std::int64_t m, n, k;
  std::int64_t gap;  ///< elements behind each row
};

class GemmBf16 : public testing::TestWithParam<std::tuple<Shape, bool, bool>> {
 protected:
  GemmBf16()
      : shape_(std::get<0>(GetParam())),
        ta_(std::get<1>(GetParam())),
        tb_(std::get<2>(GetParam())),
        a_(ta_ ? shape_.k : shape_.m, ta_ ? shape_.m : shape_.k, (ta_ ? shape_.m : shape_.k) + shape_.gap, 1),
        b_(tb_ ? shape_.n : shape_.k, tb_ ? shape_.k : shape_.n, (tb_ ? shape_.k : shape_.n) + shape_.gap, 2),
        c_(shape_.m, shape_.n, shape_.n + shape_.gap, 3),
        bias_(1, shape_.n, shape_.n, 4) {}

  /// c in fp32, from fp32 operands that hold the same numbers.
  std::vector<float> expected(float beta, float alpha, bool biased) const {
    std::vector<float> c = c_.wide;
    const Matrix<float> result{c.data(), c_.rows, c_.columns, c_.stride};
    gemm<float>(a_.in_fp32(), ta_, b_.in_fp32(), tb_, beta, result, alpha);
    if (biased) add_bias<float>(result, bias_.wide.data());
    return c;
  }

  /// 1e-6 of the sum of the products' magnitudes, at most k, and a rounding of the result.
  void expect_close(const std::vector<float>& got, const std::vector<float>& right, double rounding) const {
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(static_cast<double>(got[i]), static_cast<double>(right[i]),
                  1e-6 * static_cast<double>(shape_.k + 1) + rounding * std::abs(static_cast<double>(right[i])))
          << i;
  }

  template <typename T>
  using Product = void (*)(Matrix<const BFloat16>, bool, Matrix<const BFloat16>, bool, float, Matrix<T>, float,
                           const BFloat16*);

  void check(Product<float> to_fp32, Product<BFloat16> to_bf16, float beta, float alpha, bool biased) const {
    const BFloat16* bias = biased ? bias_.narrow.data() : nullptr;
    const std::vector<float> right = expected(beta, alpha, biased);
    std::vector<float> wide = c_.wide;
    to_fp32(a_.in_bf16(), ta_, b_.in_bf16(), tb_, beta, {wide.data(), c_.rows, c_.columns, c_.stride}, alpha, bias);
    expect_close(wide, right, 0);
    std::vector<BFloat16> narrow = c_.narrow;
    to_bf16(a_.in_bf16(), ta_, b_.in_bf16(), tb_, beta, {narrow.data(), c_.rows, c_.columns, c_.stride}, alpha, bias);
    std::vector<float> widened(narrow.size());
    std::transform(narrow.begin(), narrow.end(), widened.begin(), to_float);
    expect_close(widened, right, 1.0 / 256);
  }

  Shape shape_;
  bool ta_, tb_;
  Operand a_, b_, c_, bias_;
};

TEST_P(GemmBf16, IsThatOfFp32) {
  for (const auto& [beta, alpha, biased] :
       {std::tuple{0.F, 1.F, false}, {1.F, 1.F, false}, {0.F, 1.F, true}, {1.F, 0.5F, false}}) {
    check(gemm_bf16<float>, gemm_bf16<BFloat16>, beta, alpha, biased);
    check(widened_gemm_bf16<float>, widened_gemm_bf16<BFloat16>, beta, alpha, biased);
  }
}

TEST_P(GemmBf16, Fp32ByOneDnnIsOpenBlas) {
  for (const auto& [beta, alpha] : {std::pair{0.F, 1.F}, {1.F, 1.F}, {1.F, 0.5F}}) {
    std::vector<float> got = c_.wide;
    gemm_onednn(a_.in_fp32(), ta_, b_.in_fp32(), tb_, beta, {got.data(), c_.rows, c_.columns, c_.stride}, alpha);
    expect_close(got, expected(beta, alpha, false), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmBf16,
                         testing::Combine(testing::Values(Shape{1, 1, 1, 0}, Shape{3, 5, 7, 0}, Shape{64, 48, 32, 0},
                                                          Shape{33, 65, 129, 0}, Shape{1, 96, 64, 0},
                                                          Shape{40, 24, 16, 9}),
                                          testing::Bool(), testing::Bool()),
                         [](const auto& values) {
                           const Shape& s = std::get<0>(values.param);
                           return "m" + std::to_string(s.m) + "n" + std::to_string(s.n) + "k" + std::to_string(s.k) +
                                  (std::get<1>(values.param) ? "t" : "n") + (std::get<2>(values.param) ? "t" : "n");
                         });

/// Without products, c is beta c.
TEST(GemmBf16Ends, EmptySums) {
  std::vector<BFloat16> c{to_bfloat16(3), to_bfloat16(5)};
  const Matrix<const BFloat16> none{nullptr, 2, 0, 1};
  gemm_bf16<BFloat16>(none, false, {nullptr, 0, 1, 1}, false, 1, {c.data(), 2, 1, 1});
  EXPECT_EQ(to_float(c[1]), 5);
  gemm_bf16<BFloat16>(none, false, {nullptr, 0, 1, 1}, false, 0, {c.data(), 2, 1, 1});
  EXPECT_EQ(to_float(c[0]), 0);
}

/// Sums over rows are in fp32: 300 ones are not 256.
TEST(GemmBf16Ends, BiasGradientIsSummedInFp32) {
  const std::vector<BFloat16> dy(600, to_bfloat16(1));
  std::vector<float> db{1, 0};
  bias_gradient_bf16<float>({dy.data(), 300, 2, 2}, db.data());
  EXPECT_EQ(db, (std::vector<float>{301, 300}));
  std::vector<BFloat16> narrow(2, to_bfloat16(4));
  bias_gradient_bf16<BFloat16>({dy.data(), 300, 2, 2}, narrow.data());
  EXPECT_EQ(to_float(narrow[0]), 304);
}

}  // namespace
}  // namespace exec::cpu
