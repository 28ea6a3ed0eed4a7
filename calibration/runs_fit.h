#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "calibration/measured_runs.h"
#include "hw/node.h"

/// Fits the few numbers of a profile that no operator table gives to measured step times.
namespace calibration {

/// One unknown: numbers of a profile that move together.
struct FitParameter {
  std::string name;
  std::vector<std::string> values;     ///< JSON pointers into the profile, expanded
  bool adds = false;                   ///< moves by adding; else by a factor
  double spread = 0.1;                 ///< prior: standard deviation of what is added, or of the factor's logarithm
  double lowest = 0, highest = 1e300;  ///< of each value
  std::string why;
};

/// The value at a JSON pointer (objects only). Throws InputError.
hw::Node node_at(const hw::Node& root, const std::string& pointer);

/// docs/calibration.md. Throws InputError, also where `profile` has not what the plan moves.
std::vector<FitParameter> parse_fit_plan(const hw::Node& plan, const hw::Node& profile);

struct FittedParameter {
  FitParameter parameter;
  double prior = 0, value = 0, low = 0, high = 0;  ///< of its first number; 80 % interval, as the data leave it
  bool identified = false;                         ///< else it stays at its prior
  double learned = 0;                              ///< 1 - variance with the data over variance of the prior
};

struct RunsFit {
  explicit RunsFit(hw::Node prior) : profile(std::move(prior)) {}

  std::vector<FittedParameter> parameters;
  int rows = 0;                  ///< fitted to
  double before = 0, after = 0;  ///< median |log error| with the prior and with the fit
  double scale = 0;              ///< robust standard deviation of the log error
  hw::Node profile;
};

/// Fits step times of measured runs: Student's t on the log error (Lange, Little, Taylor, JASA 84, 1989), normal
/// priors, Gauss-Newton with numerical derivatives of the closed-form tier.
class RunsFitter {
 public:
  /// All must live longer. Evaluates the derivatives at the best fit of all rows.
  RunsFitter(const MeasuredRuns& runs, const hw::Node& prior, std::vector<FitParameter> parameters);

  /// The fit to all rows.
  const RunsFit& all() const { return all_; }
  /// The fit to the runs (indices of MeasuredRuns::runs()) alone. It starts at the fit to all and keeps its
  /// derivatives until it settles, but only errors of these runs count.
  RunsFit fit(std::span<const std::size_t> runs) const;

 private:
  using Vector = std::vector<double>;

  hw::Node profile_at(const Vector& x) const;
  /// Log error of these runs; NaN for all others and where it cannot be predicted.
  Vector errors_at(const Vector& x, std::span<const std::size_t> runs) const;
  std::vector<Vector> derivatives_at(const Vector& x, const Vector& errors, std::span<const std::size_t> runs,
                                     double step) const;
  Vector solve(std::span<const std::size_t> runs, Vector x, std::vector<Vector> derivatives,
               const std::vector<bool>& free, bool renew, int iterations) const;
  RunsFit settle(std::span<const std::size_t> runs, Vector x, const std::vector<Vector>& derivatives, bool renew) const;
  Vector deviations_at(std::span<const std::size_t> runs, const Vector& x,
                       const std::vector<Vector>& derivatives) const;
  RunsFit describe(std::span<const std::size_t> runs, const Vector& x, const Vector& deviations,
                   const std::vector<bool>& identified) const;

  const MeasuredRuns& runs_;
  const hw::Node& prior_;
  std::vector<FitParameter> parameters_;
  std::vector<std::pair<double, double>> reach_;  ///< lowest and highest of each, in the unit of best_
  Vector best_;                                   ///< in standard deviations of the priors
  std::vector<Vector> derivatives_;               ///< by parameter and run, at best_
  RunsFit all_;
};

}  // namespace calibration
