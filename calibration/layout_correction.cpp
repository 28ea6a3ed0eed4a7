#include "calibration/layout_correction.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace calibration {
namespace {

constexpr double kCommonFactor = 1.0;  ///< deviation of the factor that all layouts share: a machine not calibrated yet
constexpr double kDimensions = 0.5;    ///< of what equal dimensions share, in units of the parts' deviation
constexpr double kOwn = 0.3;           ///< of each layout's own, likewise
constexpr double kSpreadDeviation = 0.7;                        ///< of the logarithm of the parts' deviation: a factor 2
constexpr double kSpreadFactors[] = {0.5, 1, 2, 4, 8};          ///< times the prior: what is tried
constexpr double kLeastSpread = 0.01;                           ///< of a profile without intervals

using models::Layout;

std::vector<std::string> choices_of(const models::Run& run) {
  const Layout& l = run.layout;
  std::vector<std::string> choices;
  for (const int size : {l.tp, l.pp, l.vp, l.cp, l.ep, l.etp, l.dp, l.mbs, l.fsdp, static_cast<int>(l.sp),
                         static_cast<int>(l.zero), static_cast<int>(l.schedule), static_cast<int>(l.cp_kind),
                         static_cast<int>(run.recompute.mode), run.recompute.layers})
    choices.push_back(std::to_string(size));
  return choices;
}

double alike(const CorrectedLayout& a, const CorrectedLayout& b) {
  std::size_t same = 0;
  for (std::size_t i = 0; i < a.choices.size(); ++i) same += a.choices[i] == b.choices[i] ? 1U : 0U;
  return a.choices.empty() ? 0 : static_cast<double>(same) / static_cast<double>(a.choices.size());
}

/// Covariance of the log errors of two layouts, in units of the parts' variance; without the common factor.
double structure(const CorrectedLayout& a, const CorrectedLayout& b) {
  double sum = kDimensions * kDimensions * alike(a, b);
  for (std::size_t i = 0; i < a.shares.size(); ++i) sum += a.shares[i] * b.shares[i];
  return &a == &b ? sum + kOwn * kOwn : sum;
}

/// Log errors that were measured, and how they hang together at one deviation of the parts.
class Fit {
 public:
  Fit(std::span<const CorrectedLayout> layouts, std::span<const MeasuredLayout> measured, double spread)
      : layouts_(layouts), measured_(measured), spread_(spread) {
    const auto n = static_cast<Eigen::Index>(measured.size());
    Eigen::MatrixXd covariances(n, n);
    errors_.resize(n);
    for (Eigen::Index i = 0; i < n; ++i) {
      const MeasuredLayout& one = measured[static_cast<std::size_t>(i)];
      errors_(i) = std::log(one.time / layouts[one.layout].predicted);
      covariances.col(i) = with_measured(layouts[one.layout]);
      covariances(i, i) += one.deviation * one.deviation;
    }
    solver_.compute(covariances);
    weights_ = solver_.solve(errors_);
  }

  /// Logarithm of the likelihood of what was measured, up to a constant.
  double log_likelihood() const {
    return -0.5 * errors_.dot(weights_) - solver_.matrixL().toDenseMatrix().diagonal().array().log().sum();
  }

  CorrectedTime at(const CorrectedLayout& layout) const {
    const Eigen::VectorXd covariances = with_measured(layout);
    const double variance = covariance(layout, layout) - covariances.dot(solver_.solve(covariances));
    return {std::exp(covariances.dot(weights_)) * layout.predicted, std::sqrt(std::max(0.0, variance))};
  }

 private:
  double covariance(const CorrectedLayout& a, const CorrectedLayout& b) const {
    return kCommonFactor * kCommonFactor + spread_ * spread_ * structure(a, b);
  }
  Eigen::VectorXd with_measured(const CorrectedLayout& layout) const {
    Eigen::VectorXd covariances(static_cast<Eigen::Index>(measured_.size()));
    for (std::size_t i = 0; i < measured_.size(); ++i)
      covariances(static_cast<Eigen::Index>(i)) = covariance(layout, layouts_[measured_[i].layout]);
    return covariances;
  }

  std::span<const CorrectedLayout> layouts_;
  std::span<const MeasuredLayout> measured_;
  double spread_;
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
    layout.predicted = prediction.step_time;
    layout.shares.resize(parts.size());
    for (const sim::BreakdownItem& item : prediction.breakdown)
      layout.shares[parts.at(item.what)] += item.time / prediction.step_time;
    layout.choices = choices_of(*runs[i]);
  }
  return layouts;
}

std::vector<CorrectedTime> corrected(std::span<const CorrectedLayout> layouts, std::span<const MeasuredLayout> measured,
                                     double spread) {
  const Fit fit = most_likely(layouts, measured, spread);
  std::vector<CorrectedTime> times;
  for (const CorrectedLayout& layout : layouts) times.push_back(fit.at(layout));
  return times;
}

}  // namespace calibration
