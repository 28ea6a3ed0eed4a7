#include "tuning/step_statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace tuning {
namespace {

constexpr double kLow = 0.1, kHigh = 0.9, kLowerQuartile = 0.25;
constexpr double kDeviationsBetween = 2 * 1.2816;  ///< from the 10th to the 90th percentile of a normal distribution
constexpr double kMedianToMean = 1.2533;           ///< sqrt(pi / 2): deviation of a median over that of a mean
constexpr double kLeastDeviation = 0.01;

/// Linear between order statistics.
double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

}  // namespace

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

double undisturbed(std::vector<double> values) { return quantile(std::move(values), kLowerQuartile); }

double spread(const std::vector<double>& values) {
  return (quantile(values, kHigh) - quantile(values, kLow)) / quantile(values, 0.5);
}

double median_deviation(const std::vector<double>& values) {
  const double one = spread(values) / kDeviationsBetween;
  return std::max(kLeastDeviation, kMedianToMean * one / std::sqrt(static_cast<double>(values.size())));
}

}  // namespace tuning
