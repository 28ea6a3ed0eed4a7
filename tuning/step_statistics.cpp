#include "tuning/step_statistics.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "calibration/statistics.h"

namespace tuning {
namespace {

constexpr double kLow = 0.1, kHigh = 0.9, kLowerQuartile = 0.25;
constexpr double kDeviationsBetween = 2 * 1.2816;  ///< from the 10th to the 90th percentile of a normal distribution
constexpr double kMedianToMean = 1.2533;           ///< sqrt(pi / 2): deviation of a median over that of a mean
constexpr double kLeastDeviation = 0.01;

}  // namespace

double undisturbed(std::vector<double> values) { return calibration::percentile(std::move(values), kLowerQuartile); }

double spread(const std::vector<double>& values) {
  return (calibration::percentile(values, kHigh) - calibration::percentile(values, kLow)) / calibration::median(values);
}

double median_deviation(const std::vector<double>& values) {
  const double one = spread(values) / kDeviationsBetween;
  return std::max(kLeastDeviation, kMedianToMean * one / std::sqrt(static_cast<double>(values.size())));
}

}  // namespace tuning
