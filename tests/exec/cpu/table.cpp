#include "tests/exec/cpu/table.h"

#include <gtest/gtest.h>

namespace exec::cpu {

template <typename T>
void expect_close(const Table<T>& actual, const Table<double>& expected, double tolerance, const char* name) {
  ASSERT_EQ(actual.rows(), expected.rows()) << name;
  ASSERT_EQ(actual.columns(), expected.columns()) << name;
  EXPECT_TRUE(actual.gaps_untouched()) << name;
  const double bound = tolerance * (1 + largest(expected));
  for (std::int64_t i = 0; i < actual.rows(); ++i)
    for (std::int64_t j = 0; j < actual.columns(); ++j) {
      const double difference = std::abs(static_cast<double>(actual.at(i, j)) - expected.at(i, j));
      ASSERT_TRUE(difference <= bound || static_cast<double>(actual.at(i, j)) == expected.at(i, j))
          << name << " [" << i << ", " << j << "]: " << actual.at(i, j) << ", expected " << expected.at(i, j);
    }
}

void expect_gradient(const std::function<double()>& loss, Table<double>& input, const Table<double>& gradient,
                     const char* name) {
  constexpr double kStep = 1e-5;
  Table<double> differences(input.rows(), input.columns());
  for (std::int64_t i = 0; i < input.rows(); ++i)
    for (std::int64_t j = 0; j < input.columns(); ++j) {
      const double kept = input.at(i, j);
      input.at(i, j) = kept + kStep;
      const double above = loss();
      input.at(i, j) = kept - kStep;
      const double below = loss();
      input.at(i, j) = kept;
      differences.at(i, j) = (above - below) / (2 * kStep);
    }
  expect_close(gradient, differences, 1e-6, name);
}

template void expect_close<float>(const Table<float>&, const Table<double>&, double, const char*);
template void expect_close<double>(const Table<double>&, const Table<double>&, double, const char*);

}  // namespace exec::cpu
