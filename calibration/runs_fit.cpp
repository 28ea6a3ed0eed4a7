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

constexpr double kHuber = 1.345;        ///< 95 % efficient for normal errors
constexpr double kLeastScale = 0.02;    ///< log error that step times repeat to at best
constexpr double kDifference = 0.2;     ///< prior standard deviations that derivatives are taken over
constexpr double kIdentified = 0.7;     ///< posterior over prior standard deviation below which data tell something
constexpr double kInterval80 = 1.2816;  ///< standard normal quantile
constexpr int kIterations = 9, kIterationsOfPart = 4;
constexpr int kRenewed = 3;  ///< iterations that derivatives serve

std::vector<std::string> keys_of(const std::string& pointer) {
  std::vector<std::string> keys;
  for (std::size_t from = 1; from <= pointer.size();) {
    const std::size_t end = std::min(pointer.find('/', from), pointer.size());
    keys.push_back(pointer.substr(from, end - from));
    from = end + 1;
  }
  return keys;
}

/// The value at a JSON pointer.
double number_at(const hw::Node& root, const std::string& pointer) {
  hw::Node node = root;
  for (const std::string& key : keys_of(pointer)) node = node.at(key);
  return node.number();
}

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

/// 1.4826 times the median absolute deviation from 0: the standard deviation of normal errors.
double robust_scale(const std::vector<double>& errors, std::span<const std::size_t> runs) {
  std::vector<double> sizes;
  for (const std::size_t run : runs)
    if (std::isfinite(errors[run])) sizes.push_back(std::abs(errors[run]));
  return sizes.empty() ? kLeastScale : std::max(kLeastScale, 1.4826 * median(sizes));
}

double median_size(const std::vector<double>& errors, std::span<const std::size_t> runs) {
  std::vector<double> sizes;
  for (const std::size_t run : runs)
    if (std::isfinite(errors[run])) sizes.push_back(std::abs(errors[run]));
  return sizes.empty() ? 0 : median(sizes);
}

/// Twice the negative log posterior, up to a constant.
double objective(const std::vector<double>& errors, std::span<const std::size_t> runs, double scale,
                 const std::vector<double>& x) {
  double sum = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
  for (const std::size_t run : runs) {
    if (!std::isfinite(errors[run])) continue;
    const double size = std::abs(errors[run]) / scale;
    sum += size <= kHuber ? size * size : kHuber * (2 * size - kHuber);
  }
  return sum;
}

double weight_of(double error, double scale) {
  const double size = std::abs(error) / scale;
  return size <= kHuber ? 1 : kHuber / size;
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
    const double weight = weight_of(errors[run], scale) / (scale * scale);
    normal.matrix += weight * row * row.transpose();
    normal.gradient += weight * errors[run] * row;
  }
  return normal;
}

}  // namespace

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
      for (const std::string& pointer : parameter.values) number_at(profile, pointer);
    }
    if (parameter.values.empty()) node.at("values").fail("must not be empty");
    parameter.adds = node.has("added_spread");
    if (parameter.adds && node.has("factor_spread")) node.fail("must have one of factor_spread, added_spread");
    parameter.spread = node.at(parameter.adds ? "added_spread" : "factor_spread").positive();
    if (const auto lowest = node.find("lowest")) parameter.lowest = lowest->number();
    if (const auto highest = node.find("highest")) parameter.highest = highest->number();
    if (parameter.lowest > parameter.highest) node.at("lowest").fail("must not be above highest");
    parameters.push_back(std::move(parameter));
  }
  if (parameters.empty()) plan.at("parameters").fail("must not be empty");
  return parameters;
}

RunsFitter::RunsFitter(const MeasuredRuns& runs, const hw::Node& prior, std::vector<FitParameter> parameters)
    : runs_(runs), prior_(prior), parameters_(std::move(parameters)), all_(prior) {
  std::vector<std::size_t> every(runs.runs().size());
  std::iota(every.begin(), every.end(), std::size_t{0});
  best_ = solve(every, Vector(parameters_.size(), 0.0), {}, true, kIterations);
  derivatives_ = derivatives_at(best_, errors_at(best_));
  all_ = describe(every, best_, derivatives_);
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

RunsFitter::Vector RunsFitter::errors_at(const Vector& x) const {
  const Efficiencies efficiencies = efficiencies_of(runs_, profile_at(x));
  Vector errors(runs_.runs().size(), std::nan(""));
  for_each_index(errors.size(), [&](std::size_t i) {
    const MeasuredRun& run = runs_.runs()[i];
    ValidatedRow row = runs_.rows()[run.row];
    predict_row(run, efficiencies, sim::Tier::closed_form, row);
    if (row.is_predicted()) errors[i] = std::log(row.predicted / row.measured);
  });
  return errors;
}

std::vector<RunsFitter::Vector> RunsFitter::derivatives_at(const Vector& x, const Vector& errors) const {
  std::vector<Vector> derivatives;
  for (std::size_t i = 0; i < x.size(); ++i) {
    Vector there = x;
    there[i] += kDifference;
    Vector& derivative = derivatives.emplace_back(errors_at(there));
    for (std::size_t run = 0; run < derivative.size(); ++run)
      derivative[run] = (derivative[run] - errors[run]) / kDifference;
  }
  return derivatives;
}

/// Damped steps while they help. `renew`: derivatives of each point, else those given.
RunsFitter::Vector RunsFitter::solve(std::span<const std::size_t> runs, Vector x, std::vector<Vector> derivatives,
                                     bool renew, int iterations) const {
  Vector errors = errors_at(x);
  for (int iteration = 0; iteration < iterations; ++iteration) {
    if (renew && iteration % kRenewed == 0) derivatives = derivatives_at(x, errors);
    const double scale = robust_scale(errors, runs), before = objective(errors, runs, scale, x);
    const Normal normal = normal_equations(derivatives, errors, runs, scale, x);
    const Eigen::VectorXd step = normal.matrix.ldlt().solve(-normal.gradient);
    double length = 1, gained = 0;
    for (; length > 0.1; length /= 2) {
      Vector there = x;
      for (std::size_t i = 0; i < x.size(); ++i) there[i] += length * step(static_cast<Eigen::Index>(i));
      Vector errors_there = errors_at(there);
      gained = before - objective(errors_there, runs, scale, there);
      if (gained <= 0) continue;
      x = std::move(there);
      errors = std::move(errors_there);
      break;
    }
    if (gained < 1e-3 * before && (!renew || iteration % kRenewed == 0)) break;
  }
  return x;
}

RunsFit RunsFitter::fit(std::span<const std::size_t> runs) const {
  return describe(runs, solve(runs, best_, derivatives_, false, kIterationsOfPart), derivatives_);
}

/// What was found, with the parameters that the data do not tell back at their priors.
RunsFit RunsFitter::describe(std::span<const std::size_t> runs, const Vector& x,
                             const std::vector<Vector>& derivatives) const {
  const Vector errors = errors_at(x);
  const double scale = robust_scale(errors, runs);
  const Eigen::MatrixXd covariance =
      normal_equations(derivatives, errors, runs, scale, x)
          .matrix.ldlt()
          .solve(Eigen::MatrixXd::Identity(static_cast<Eigen::Index>(x.size()), static_cast<Eigen::Index>(x.size())));
  RunsFit fit(prior_);
  fit.rows = static_cast<int>(runs.size());
  fit.scale = scale;
  Vector kept = x;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const FitParameter& parameter = parameters_[i];
    const auto at = static_cast<Eigen::Index>(i);
    const double deviation = std::sqrt(covariance(at, at)), prior = number_at(prior_, parameter.values.front());
    const bool identified = deviation < kIdentified;
    if (!identified) kept[i] = 0;
    fit.parameters.push_back({.parameter = parameter,
                              .prior = prior,
                              .value = moved(parameter, prior, kept[i]),
                              .low = moved(parameter, prior, kept[i] - kInterval80 * deviation),
                              .high = moved(parameter, prior, kept[i] + kInterval80 * deviation),
                              .identified = identified,
                              .learned = 1 - deviation * deviation});
  }
  fit.before = median_size(errors_at(Vector(x.size(), 0.0)), runs);
  fit.after = median_size(errors_at(kept), runs);
  fit.profile = profile_at(kept);
  return fit;
}

}  // namespace calibration
