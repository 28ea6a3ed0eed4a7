#pragma once

#include <vector>

#include "calibration/statistics.h"

namespace tuning {

/// Precondition of all: `values` is not empty.
using calibration::median;
/// The lower quartile: what else runs on a machine only ever adds to a step, now and then half of them.
double undisturbed(std::vector<double> values);
/// 90th less 10th percentile over the median.
double spread(const std::vector<double>& values);
/// Standard deviation of the logarithm of the median of values as noisy as these; at least that of a clock's jitter.
double median_deviation(const std::vector<double>& values);

}  // namespace tuning
