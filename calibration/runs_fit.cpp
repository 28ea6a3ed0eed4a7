#include "calibration/runs_fit.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "calibration/parallel.h"
#include "calibration/statistics.h"

namespace calibration {
namespace {

constexpr double kFreedom = 5;           ///< degrees of freedom of the errors' t distribution
constexpr double kLeastScale = 0.02;     ///< log error that step times repeat to at best
constexpr int kScaleRounds = 15;         ///< of expectation-maximisation, after which the scale stands still
constexpr double kLeastGain = 0.5;       ///< of twice the log posterior, below which a fit has ended
constexpr double kDifference = 0.4;      ///< prior standard deviations that derivatives are taken over
constexpr double kFineDifference = 0.1;  ///< likewise, close to the best fit
constexpr double kIdentified = 0.7;      ///< posterior over prior standard deviation below which data tell something
constexpr double kInterval80 = 1.2816;   ///< standard normal quantile
constexpr int kIterations = 20, kIterationsOfPart = 8;
constexpr int kCoarse = 4;  ///< iterations with the coarse difference, until the best fit is close
constexpr int kAttempts = 7, kRounds = 4;
constexpr double kFar = 0.5;  ///< prior standard deviations beyond which derivatives are taken anew
/// Marquardt's damping: its least, and its factor after a step that did not help.
constexpr double kLeastDamping = 1e-3, kDamped = 8;

std::vector<std::string> keys_of(const std::string& pointer) {
  std::vector<std::string> keys;
  for (std::size_t from = 1; from <= pointer.size();) {
    const std::size_t end = std::min(pointer.find('/', from), pointer.size());
    keys.push_back(pointer.substr(from, end - from));
    from = end + 1;
  }
  return keys;
}

double number_at(const hw::Node& root, const std::string& pointer) { return node_at(root, pointer).number(); }

/// Appends the pointers that `keys` from `at` on stand for; `*` is every key that leads on.
void expand(const hw::Node& node, std::span<const std::string> keys, const std::string& here,
            std::vector<std::string>& pointers) {
  if (keys.empty()) return pointers.push_back(here);
  if (!node.is_object()) return;
  for (const std::string& key : node.keys())
    if ((keys.front() == "*" || keys.front() == key) && node.has(key))
      expand(node.at(key), keys.subspan(1), here + "/" + key, pointers);
}

double moved(const FitParameter& parameter, double value, double x) {
  const double to = parameter.adds ? value + parameter.spread * x : value * std::exp(parameter.spread * x);
  return std::clamp(to, parameter.lowest, parameter.highest);
}

/// How far a parameter may go, in standard deviations of its prior, until a number of its own meets a limit.
std::pair<double, double> reach_of(const FitParameter& parameter, const hw::Node& prior) {
  std::pair<double, double> reach{-1e3, 1e3};
  for (const std::string& pointer : parameter.values) {
    const double value = number_at(prior, pointer);
    const auto at = [&](double limit) {
      if (parameter.adds) return (limit - value) / parameter.spread;
      return std::log(std::max(limit, 1e-12) / value) / parameter.spread;
    };
    reach.first = std::max(reach.first, std::min(0.0, at(parameter.lowest)));
    reach.second = std::min(reach.second, std::max(0.0, at(parameter.highest)));
  }
  return reach;
}

/// Weight of a log error in units of the scale: that of Student's t, which lets rows go that nothing explains.
double weight_of(double size) { return (kFreedom + 1) / (kFreedom + size * size); }

/// Of the t distribution that fits the errors best (expectation-maximisation).
double robust_scale(const std::vector<double>& errors, std::span<const std::size_t> runs) {
  std::vector<double> sizes;
  for (const std::size_t run : runs)
    if (std::isfinite(errors[run])) sizes.push_back(std::abs(errors[run]));
  if (sizes.empty()) return kLeastScale;
  double scale = std::max(kLeastScale, median(sizes));
  for (int round = 0; round < kScaleRounds; ++round) {
    double sum = 0;
    for (const double size : sizes) sum += weight_of(size / scale) * size * size;
    scale = std::max(kLeastScale, std::sqrt(sum / static_cast<double>(sizes.size())));
  }
  return scale;
}

double median_size(const std::vector<double>& errors, std::span<const std::size_t> runs) {
  std::vector<double> sizes;
  for (const std::size_t run : runs)
    if (std::isfinite(errors[run])) sizes.push_back(std::abs(errors[run]));
  return sizes.empty() ? 0 : median(sizes);
}

/// Twice the negative log posterior of the parameters and the errors' scale, up to a constant.
double objective(const std::vector<double>& errors, std::span<const std::size_t> runs, const std::vector<double>& x) {
  const double scale = robust_scale(errors, runs);
  double sum = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
  for (const std::size_t run : runs) {
    if (!std::isfinite(errors[run])) continue;
    const double size = errors[run] / scale;
    sum += (kFreedom + 1) * std::log1p(size * size / kFreedom) + 2 * std::log(scale);
  }
  return sum;
}

/// Normal equations of one Gauss-Newton step, divided by the errors' variance; priors included.
struct Normal {
  Eigen::MatrixXd matrix;
  Eigen::VectorXd gradient;
};

Normal normal_equations(const std::vector<std::vector<double>>& derivatives, const std::vector<double>& errors,
                        std::span<const std::size_t> runs, double scale, const std::vector<double>& x) {
  const auto n = static_cast<Eigen::Index>(x.size());
  Normal normal{Eigen::MatrixXd::Identity(n, n), Eigen::VectorXd(n)};
  for (Eigen::Index i = 0; i < n; ++i) normal.gradient(i) = x[static_cast<std::size_t>(i)];
  Eigen::VectorXd row(n);
  for (const std::size_t run : runs) {
    if (!std::isfinite(errors[run])) continue;
    for (Eigen::Index i = 0; i < n; ++i) row(i) = derivatives[static_cast<std::size_t>(i)][run];
    if (!row.allFinite()) continue;
    const double weight = weight_of(errors[run] / scale) / (scale * scale);
    normal.matrix += weight * row * row.transpose();
    normal.gradient += weight * errors[run] * row;
  }
  return normal;
}

/// Those `free` parameters that a step may move: one at a limit stays there while the data pull it beyond.
std::vector<bool> movable(std::vector<bool> free, const std::vector<double>& x, const Normal& normal,
                          const std::vector<std::pair<double, double>>& reach) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double slope = normal.gradient(static_cast<Eigen::Index>(i));
    if ((x[i] <= reach[i].first && slope > 0) || (x[i] >= reach[i].second && slope < 0)) free[i] = false;
  }
  return free;
}

/// Takes the parameters that are not `free` out of the step.
void hold(Normal& normal, const std::vector<bool>& free) {
  for (Eigen::Index i = 0; i < normal.gradient.size(); ++i) {
    if (free[static_cast<std::size_t>(i)]) continue;
    normal.matrix.row(i).setZero();
    normal.matrix.col(i).setZero();
    normal.matrix(i, i) = 1;
    normal.gradient(i) = 0;
  }
}

}  // namespace

hw::Node node_at(const hw::Node& root, const std::string& pointer) {
  hw::Node node = root;
  for (const std::string& key : keys_of(pointer)) node = node.at(key);
  return node;
}

std::vector<FitParameter> parse_fit_plan(const hw::Node& plan, const hw::Node& profile) {
  plan.only({"parameters", "about"});
  std::vector<FitParameter> parameters;
  for (const hw::Node& node : plan.at("parameters").elements()) {
    node.only({"name", "values", "factor_spread", "added_spread", "lowest", "highest", "why"});
    FitParameter parameter{.name = node.at("name").text(), .values = {}, .why = node.at("why").text()};
    for (const hw::Node& value : node.at("values").elements()) {
      const std::size_t known = parameter.values.size();
      expand(profile, keys_of(value.text()), "", parameter.values);
      if (parameter.values.size() == known) value.fail("must point to numbers of " + profile.file());
    }
    if (parameter.values.empty()) node.at("values").fail("must not be empty");
    parameter.adds = node.has("added_spread");
    if (parameter.adds && node.has("factor_spread")) node.fail("must have one of factor_spread, added_spread");
    parameter.spread = node.at(parameter.adds ? "added_spread" : "factor_spread").positive();
    if (const auto lowest = node.find("lowest")) parameter.lowest = lowest->number();
    if (const auto highest = node.find("highest")) parameter.highest = highest->number();
    if (parameter.lowest > parameter.highest) node.at("lowest").fail("must not be above highest");
    for (const std::string& pointer : parameter.values) {
      const double prior = number_at(profile, pointer);
      if (!parameter.adds && prior <= 0)
        node.at("factor_spread").fail("must not move " + pointer + " of " + profile.file() + ", which is not positive");
      if (prior < parameter.lowest)
        node.at("lowest").fail("must not be above the prior, " + pointer + " of " + profile.file());
      if (prior > parameter.highest)
        node.at("highest").fail("must not be below the prior, " + pointer + " of " + profile.file());
    }
    parameters.push_back(std::move(parameter));
  }
  if (parameters.empty()) plan.at("parameters").fail("must not be empty");
  return parameters;
}

RunsFitter::RunsFitter(const MeasuredRuns& runs, const hw::Node& prior, std::vector<FitParameter> parameters)
    : runs_(runs), prior_(prior), parameters_(std::move(parameters)), all_(prior) {
  std::vector<std::size_t> every(runs.runs().size());
  std::iota(every.begin(), every.end(), std::size_t{0});
  for (const FitParameter& parameter : parameters_) reach_.push_back(reach_of(parameter, prior));
  const std::vector<bool> free(parameters_.size(), true);
  best_ = solve(every, Vector(parameters_.size(), 0.0), {}, free, true, kIterations);
  derivatives_ = derivatives_at(best_, errors_at(best_, every), every, kDifference);
  all_ = settle(every, best_, derivatives_, true);
}

/// Parameters that move the same number do so one after another, in the order of the plan.
hw::Node RunsFitter::profile_at(const Vector& x) const {
  std::map<std::string, double> values;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    for (const std::string& pointer : parameters_[i].values) {
      const auto at = values.try_emplace(pointer, number_at(prior_, pointer)).first;
      at->second = moved(parameters_[i], at->second, x[i]);
    }
  return prior_.with({values.begin(), values.end()});
}

RunsFitter::Vector RunsFitter::errors_at(const Vector& x, std::span<const std::size_t> runs) const {
  const Efficiencies efficiencies = efficiencies_of(runs_, profile_at(x));
  Vector errors(runs_.runs().size(), std::nan(""));
  for_each_index(runs.size(), [&](std::size_t i) {
    const MeasuredRun& run = runs_.runs()[runs[i]];
    const hw::Seconds predicted =
        sim::predict_step_time(run.lowered, efficiencies.at(run.system), sim::Tier::closed_form);
    if (predicted.value > 0) errors[runs[i]] = std::log(predicted / runs_.rows()[run.row].measured);
  });
  return errors;
}

std::vector<RunsFitter::Vector> RunsFitter::derivatives_at(const Vector& x, const Vector& errors,
                                                           std::span<const std::size_t> runs, double step) const {
  std::vector<Vector> derivatives;
  for (std::size_t i = 0; i < x.size(); ++i) {
    // Towards the inside at a limit: beyond it nothing moves.
    const double difference = x[i] + step <= reach_[i].second ? step : -step;
    Vector there = x;
    there[i] += difference;
    std::vector<std::size_t> moving;  // a run that no parameter of this kind touches is not priced again
    for (const std::size_t run : runs)
      if (derivatives_.empty() || derivatives_[i][run] != 0) moving.push_back(run);
    const Vector errors_there = errors_at(there, moving);
    Vector& derivative = derivatives.emplace_back(errors.size(), 0.0);
    for (const std::size_t run : moving) derivative[run] = (errors_there[run] - errors[run]) / difference;
  }
  return derivatives;
}

/// Damped steps while they help, of the parameters that are `free`. `renew`: derivatives of each point, else those
/// given.
RunsFitter::Vector RunsFitter::solve(std::span<const std::size_t> runs, Vector x, std::vector<Vector> derivatives,
                                     const std::vector<bool>& free, bool renew, int iterations) const {
  Vector errors = errors_at(x, runs);
  double damping = kLeastDamping;
  for (int iteration = 0; iteration < iterations; ++iteration) {
    if (renew) derivatives = derivatives_at(x, errors, runs, iteration < kCoarse ? kDifference : kFineDifference);
    const double scale = robust_scale(errors, runs), before = objective(errors, runs, x);
    Normal normal = normal_equations(derivatives, errors, runs, scale, x);
    hold(normal, movable(free, x, normal, reach_));
    double gained = 0;
    for (int attempt = 0; attempt < kAttempts && gained <= 0; ++attempt, damping *= kDamped) {
      Eigen::MatrixXd damped = normal.matrix;
      damped.diagonal() *= 1 + damping;
      const Eigen::VectorXd step = damped.ldlt().solve(-normal.gradient);
      Vector there = x;
      for (std::size_t i = 0; i < x.size(); ++i)
        there[i] = std::clamp(x[i] + step(static_cast<Eigen::Index>(i)), reach_[i].first, reach_[i].second);
      Vector errors_there = errors_at(there, runs);
      gained = before - objective(errors_there, runs, there);
      if (gained <= 0) continue;
      x = std::move(there);
      errors = std::move(errors_there);
    }
    damping = std::max(damping / (kDamped * kDamped), kLeastDamping);
    if (gained < kLeastGain) break;
  }
  return x;
}

RunsFit RunsFitter::fit(std::span<const std::size_t> runs) const {
  const std::vector<bool> free(parameters_.size(), true);
  Vector x = solve(runs, best_, derivatives_, free, false, kIterationsOfPart);
  // What was learnt at the best fit of all runs would let those that are left out speak.
  std::vector<Vector> own;
  double moved = kFar;
  for (int round = 0; round < kRounds && moved >= kFar; ++round) {
    own = derivatives_at(x, errors_at(x, runs), runs, kDifference);
    const Vector before = std::exchange(x, solve(runs, x, own, free, false, kIterationsOfPart));
    moved = 0;
    for (std::size_t i = 0; i < x.size(); ++i) moved = std::max(moved, std::abs(x[i] - before[i]));
  }
  return settle(runs, x, own, false);
}

/// Puts the parameters that the data do not tell back at their priors, which their intervals hold, and fits the others
/// again.
RunsFit RunsFitter::settle(std::span<const std::size_t> runs, Vector x, const std::vector<Vector>& derivatives,
                           bool renew) const {
  const Vector deviations = deviations_at(runs, x, derivatives);
  std::vector<bool> identified;
  for (std::size_t i = 0; i < x.size(); ++i) {
    identified.push_back(deviations[i] < kIdentified || std::abs(x[i]) > kInterval80 * deviations[i]);
    if (!identified.back()) x[i] = 0;
  }
  x = solve(runs, std::move(x), derivatives, identified, renew, kIterationsOfPart);
  return describe(runs, x, deviations_at(runs, x, derivatives), identified);
}

/// Of each parameter's posterior, in standard deviations of its prior.
RunsFitter::Vector RunsFitter::deviations_at(std::span<const std::size_t> runs, const Vector& x,
                                             const std::vector<Vector>& derivatives) const {
  const Vector errors = errors_at(x, runs);
  const auto n = static_cast<Eigen::Index>(x.size());
  const Eigen::MatrixXd covariance = normal_equations(derivatives, errors, runs, robust_scale(errors, runs), x)
                                         .matrix.ldlt()
                                         .solve(Eigen::MatrixXd::Identity(n, n));
  Vector deviations;
  for (Eigen::Index i = 0; i < n; ++i) deviations.push_back(std::sqrt(covariance(i, i)));
  return deviations;
}

RunsFit RunsFitter::describe(std::span<const std::size_t> runs, const Vector& x, const Vector& deviations,
                             const std::vector<bool>& identified) const {
  RunsFit fit(profile_at(x));
  const Vector errors = errors_at(x, runs);
  fit.rows = static_cast<int>(runs.size());
  fit.scale = robust_scale(errors, runs);
  fit.before = median_size(errors_at(Vector(x.size(), 0.0), runs), runs);
  fit.after = median_size(errors, runs);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const FitParameter& parameter = parameters_[i];
    const double prior = number_at(prior_, parameter.values.front());
    const double reach = kInterval80 * deviations[i];
    fit.parameters.push_back({.parameter = parameter,
                              .prior = prior,
                              .value = moved(parameter, prior, x[i]),
                              .low = moved(parameter, prior, x[i] - reach),
                              .high = moved(parameter, prior, x[i] + reach),
                              .identified = identified[i],
                              .learned = 1 - deviations[i] * deviations[i]});
  }
  return fit;
}

}  // namespace calibration
