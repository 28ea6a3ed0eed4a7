#pragma once

#include <functional>
#include <vector>

namespace calibration {

/// What a fit may move: value, and the bounds that it stays within.
struct Bounded {
  double start, lowest, highest;
};

/// Residuals of one point or prior each, in units in which 1 is an ordinary miss; beyond it they count less.
using Residuals = std::function<void(const std::vector<double>& parameters, std::vector<double>& residuals)>;

/// The parameters that minimise the sum of 2 (sqrt(1 + r^2) - 1): squares of small residuals, amounts of large ones.
/// Levenberg and Marquardt's step on reweighted least squares, derivatives by differences. Deterministic.
/// Source: Madsen, Nielsen, Tingleff, Methods for Non-Linear Least Squares Problems, 2004, section 3.2; weights: Huber,
/// Robust Statistics, 1981, section 7.8.
///   count  residuals
std::vector<double> robust_fit(const std::vector<Bounded>& parameters, std::size_t count, const Residuals& residuals);

}  // namespace calibration
