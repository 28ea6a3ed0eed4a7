#pragma once

#include <utility>
#include <vector>

/// Order statistics of plain ratios. All of them need at least one value.
namespace calibration {

/// The value below which a share `q` in [0, 1] of the values lies, by linear interpolation between order statistics:
/// position q * (n - 1) in the sorted values, from 0. Source: Hyndman & Fan, The American Statistician 50(4), 1996,
/// definition 7.
double percentile(std::vector<double> values, double q);

inline double median(std::vector<double> values) { return percentile(std::move(values), 0.5); }

double mean(const std::vector<double>& values);

double largest(const std::vector<double>& values);

}  // namespace calibration
