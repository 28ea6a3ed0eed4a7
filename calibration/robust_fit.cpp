#include "calibration/robust_fit.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>

namespace calibration {
namespace {

constexpr int kMostSteps = 60;
constexpr double kDifference = 1e-5;  // of a parameter, for derivatives
constexpr double kLeastGain = 1e-7;   // of the cost, below which the fit has ended

double cost_of(const std::vector<double>& residuals) {
  double sum = 0;
  for (const double r : residuals) sum += 2 * (std::sqrt(1 + r * r) - 1);
  return sum;
}

/// Weighted normal equations at `at`.
struct Normal {
  Eigen::MatrixXd curvature;
  Eigen::VectorXd gradient;
};

Normal normal_equations(const std::vector<double>& at, const std::vector<double>& now, const Residuals& residuals) {
  const auto parameters = static_cast<Eigen::Index>(at.size()), points = static_cast<Eigen::Index>(now.size());
  Eigen::MatrixXd slopes(points, parameters);
  std::vector<double> moved = at, there(now.size());
  for (Eigen::Index j = 0; j < parameters; ++j) {
    const auto p = static_cast<std::size_t>(j);
    const double step = kDifference * std::max(1.0, std::abs(at[p]));
    moved[p] = at[p] + step;
    residuals(moved, there);
    moved[p] = at[p];
    for (Eigen::Index i = 0; i < points; ++i)
      slopes(i, j) = (there[static_cast<std::size_t>(i)] - now[static_cast<std::size_t>(i)]) / step;
  }
  const Eigen::Map<const Eigen::VectorXd> r(now.data(), points);
  const Eigen::VectorXd weights = (1 + r.array().square()).rsqrt();
  const Eigen::MatrixXd weighted = weights.asDiagonal() * slopes;
  return {slopes.transpose() * weighted, weighted.transpose() * r};
}

std::vector<double> stepped(const std::vector<double>& from, const Normal& normal, double damping,
                            const std::vector<Bounded>& bounds) {
  constexpr double kFloor = 1e-12;  // keeps a parameter that nothing depends on from being divided by 0
  Eigen::MatrixXd curvature = normal.curvature;
  for (Eigen::Index j = 0; j < curvature.rows(); ++j) curvature(j, j) += damping * curvature(j, j) + kFloor;
  const Eigen::VectorXd step = curvature.ldlt().solve(normal.gradient);
  std::vector<double> to = from;
  for (std::size_t j = 0; j < to.size(); ++j)
    to[j] = std::clamp(from[j] - step[static_cast<Eigen::Index>(j)], bounds[j].lowest, bounds[j].highest);
  return to;
}

}  // namespace

std::vector<double> robust_fit(const std::vector<Bounded>& parameters, std::size_t count, const Residuals& residuals) {
  constexpr double kFirstDamping = 1e-3, kMostDamping = 1e8, kEase = 0.3, kTighten = 4;
  std::vector<double> at, now(count), there(count);
  for (const Bounded& parameter : parameters) at.push_back(parameter.start);
  residuals(at, now);
  double cost = cost_of(now), damping = kFirstDamping;
  for (int step = 0; step < kMostSteps && damping < kMostDamping; ++step) {
    const Normal normal = normal_equations(at, now, residuals);
    for (; damping < kMostDamping; damping *= kTighten) {
      const std::vector<double> to = stepped(at, normal, damping, parameters);
      residuals(to, there);
      const double better = cost_of(there);
      if (!(better < cost)) continue;
      const double gain = (cost - better) / std::max(cost, kLeastGain);
      at = to;
      now = there;
      cost = better;
      damping *= kEase;
      if (gain < kLeastGain) return at;
      break;
    }
  }
  return at;
}

}  // namespace calibration
