#include "calibration/layout_correction.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace calibration {
namespace {

constexpr double kCommonFactor = 1.0;  ///< deviation of the factor that all layouts share: a machine not calibrated yet
constexpr double kDimensions = 1.0;    ///< of what equal dimensions share, in units of the parts' deviation
constexpr double kOwn = 0.5;           ///< of each layout's own, likewise
constexpr double kSpreadDeviation = 0.7;                ///< of the logarithm of the parts' deviation: a factor 2
constexpr double kSpreadFactors[] = {0.5, 1, 2, 4, 8};  ///< times the prior: what is tried
constexpr int kIterations = 30;
constexpr double kLongestStep = 1, kSettled = 1e-6;  ///< of the logarithm of a factor
constexpr double kLeastSpread = 0.01;                ///< of a profile without intervals

using models::Layout;

std::vector<int> choices_of(const models::Run& run) {
  const Layout& l = run.layout;
  return {l.tp,
          l.pp,
          l.vp,
          l.cp,
          l.ep,
          l.etp,
          l.dp,
          l.mbs,
          l.fsdp,
          static_cast<int>(l.sp),
          static_cast<int>(l.zero),
          static_cast<int>(l.schedule),
          static_cast<int>(l.cp_kind),
          static_cast<int>(run.recompute.mode),
          run.recompute.layers};
}

double alike(const CorrectedLayout& a, const CorrectedLayout& b) {
  std::size_t same = 0;
  for (std::size_t i = 0; i < a.choices.size(); ++i) same += a.choices[i] == b.choices[i] ? 1U : 0U;
  return a.choices.empty() ? 0 : static_cast<double>(same) / static_cast<double>(a.choices.size());
}

/// A layout's step about some factors of its parts: log(time) = offset + shares * log(factors).
struct Linear {
  double offset = 0;
  Eigen::VectorXd shares;
};

Linear linear_at(const CorrectedLayout& layout, const Eigen::VectorXd& log_factors) {
  const Eigen::Map<const Eigen::VectorXd> parts(layout.parts.data(), static_cast<Eigen::Index>(layout.parts.size()));
  const Eigen::VectorXd scaled = parts.array() * log_factors.array().exp();
  const double time = scaled.sum();
  Linear linear{.offset = 0, .shares = scaled / time};
  linear.offset = std::log(time) - linear.shares.dot(log_factors);
  return linear;
}

/// What was measured, and how it hangs together where factors stray by `spread`.
class Fit {
 public:
  Fit(std::span<const CorrectedLayout> layouts, std::span<const MeasuredLayout> measured, double spread)
      : layouts_(layouts), measured_(measured), spread_(spread) {
    log_factors_ = Eigen::VectorXd::Zero(static_cast<Eigen::Index>(layouts.front().parts.size()));
    for (int iteration = 0; iteration < kIterations; ++iteration) {
      solve();
      const Eigen::VectorXd step =
          (most_likely_factors() - log_factors_).cwiseMax(-kLongestStep).cwiseMin(kLongestStep);
      log_factors_ += step;
      if (step.cwiseAbs().maxCoeff() < kSettled) break;
    }
    solve();
  }

  /// Logarithm of the likelihood of what was measured, up to a constant.
  double log_likelihood() const {
    return -0.5 * errors_.dot(weights_) - solver_.matrixL().toDenseMatrix().diagonal().array().log().sum();
  }

  CorrectedTime at(std::size_t layout) const {
    const Linear linear = linear_at(layouts_[layout], log_factors_);
    const Eigen::VectorXd covariances = with_measured(layout, linear);
    const double variance = covariance(layout, linear, layout, linear) - covariances.dot(solver_.solve(covariances));
    return {{std::exp(linear.offset + covariances.dot(weights_))}, std::sqrt(std::max(0.0, variance))};
  }

 private:
  void solve() {
    const auto n = static_cast<Eigen::Index>(measured_.size());
    linear_.clear();
    for (const MeasuredLayout& one : measured_) linear_.push_back(linear_at(layouts_[one.layout], log_factors_));
    Eigen::MatrixXd covariances(n, n);
    errors_.resize(n);
    for (Eigen::Index i = 0; i < n; ++i) {
      const auto index = static_cast<std::size_t>(i);
      const MeasuredLayout& one = measured_[index];
      errors_(i) = std::log(one.time.value) - linear_[index].offset;
      covariances.col(i) = with_measured(one.layout, linear_[index]);
      covariances(i, i) += one.deviation * one.deviation;
    }
    solver_.compute(covariances);
    weights_ = solver_.solve(errors_);
  }

  Eigen::VectorXd most_likely_factors() const {
    Eigen::VectorXd sum = Eigen::VectorXd::Zero(log_factors_.size());
    for (std::size_t i = 0; i < linear_.size(); ++i) sum += weights_(static_cast<Eigen::Index>(i)) * linear_[i].shares;
    return spread_ * spread_ * sum;
  }

  double covariance(std::size_t a, const Linear& of_a, std::size_t b, const Linear& of_b) const {
    double sum = kDimensions * kDimensions * alike(layouts_[a], layouts_[b]) + of_a.shares.dot(of_b.shares);
    if (a == b) sum += kOwn * kOwn;
    return kCommonFactor * kCommonFactor + spread_ * spread_ * sum;
  }
  Eigen::VectorXd with_measured(std::size_t layout, const Linear& linear) const {
    Eigen::VectorXd covariances(static_cast<Eigen::Index>(measured_.size()));
    for (std::size_t i = 0; i < measured_.size(); ++i)
      covariances(static_cast<Eigen::Index>(i)) = covariance(layout, linear, measured_[i].layout, linear_[i]);
    return covariances;
  }

  std::span<const CorrectedLayout> layouts_;
  std::span<const MeasuredLayout> measured_;
  double spread_;
  Eigen::VectorXd log_factors_;
  std::vector<Linear> linear_;  ///< of those measured
  Eigen::VectorXd errors_, weights_;
  Eigen::LLT<Eigen::MatrixXd> solver_;
};

Fit most_likely(std::span<const CorrectedLayout> layouts, std::span<const MeasuredLayout> measured, double spread) {
  const double prior = std::max(spread, kLeastSpread);
  double best = -std::numeric_limits<double>::infinity(), best_factor = 1;
  for (const double factor : kSpreadFactors) {
    const double away = std::log(factor) / kSpreadDeviation;
    const double likelihood = Fit(layouts, measured, factor * prior).log_likelihood() - 0.5 * away * away;
    if (likelihood <= best) continue;
    best = likelihood;
    best_factor = factor;
  }
  return {layouts, measured, best_factor * prior};
}

}  // namespace

std::vector<CorrectedLayout> described(std::span<const models::Run* const> runs,
                                       std::span<const sim::Prediction* const> predictions) {
  std::map<std::string, std::size_t> parts;
  for (const sim::Prediction* prediction : predictions)
    for (const sim::BreakdownItem& item : prediction->breakdown) parts.try_emplace(item.what, parts.size());
  std::vector<CorrectedLayout> layouts;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const sim::Prediction& prediction = *predictions[i];
    CorrectedLayout& layout = layouts.emplace_back();
    layout.parts.resize(parts.size());
    for (const sim::BreakdownItem& item : prediction.breakdown) layout.parts[parts.at(item.what)] += item.time.value;
    layout.choices = choices_of(*runs[i]);
  }
  return layouts;
}

std::vector<CorrectedTime> corrected(std::span<const CorrectedLayout> layouts, std::span<const MeasuredLayout> measured,
                                     double spread) {
  const Fit fit = most_likely(layouts, measured, spread);
  std::vector<CorrectedTime> times;
  for (std::size_t i = 0; i < layouts.size(); ++i) times.push_back(fit.at(i));
  return times;
}

}  // namespace calibration
