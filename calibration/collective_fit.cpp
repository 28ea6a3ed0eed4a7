#include "calibration/collective_fit.h"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "calibration/robust_fit.h"
#include "sim/collective_cost.h"

namespace calibration {
namespace {

constexpr int kFolds = 5;
constexpr std::size_t kFewestSizes = 5;

double predicted(const hw::CollectiveCurve& curve, hw::Bytes sent) {
  return sim::curve_time(curve, sent).total().value;
}

/// Without the ratios.
double smooth_time(hw::CollectiveCurve curve, hw::Bytes sent) {
  curve.ratios = {};
  return predicted(curve, sent);
}

int octave(hw::Bytes payload) { return static_cast<int>(std::lround(std::log2(payload.value))); }

hw::CollectiveCurve smooth_curve(const std::vector<CollectiveSample>& samples) {
  constexpr double kOrdinaryMiss = 0.05, kSmallWeight = 0.3;  // latency alone makes small sizes
  const auto curve_of = [](const std::vector<double>& p) {
    return hw::CollectiveCurve{.latency = {std::exp(p[0])},
                               .bandwidth = {std::exp(p[1])},
                               .slope = std::exp(p[2]),
                               .origin = hw::Origin::curve,
                               .ratios = {}};
  };
  const std::vector<Bounded> bounds{{std::log(1e-5), std::log(1e-7), std::log(1e-2)},
                                    {std::log(3e11), std::log(1e9), std::log(5e12)},
                                    {std::log(3e-9), std::log(1e-12), std::log(1e-6)}};
  return curve_of(robust_fit(bounds, samples.size(), [&](const std::vector<double>& p, std::vector<double>& r) {
    const hw::CollectiveCurve curve = curve_of(p);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const double weight = samples[i].payload < kLeastReportedPayload ? kSmallWeight : 1;
      r[i] = weight * std::log(smooth_time(curve, samples[i].sent) / samples[i].time.value) / kOrdinaryMiss;
    }
  }));
}

/// What the smooth curve misses at each doubling from `first`, drawn to a straight line over the doublings where few
/// samples tell.
hw::SizeRatios ratios_of(const std::vector<CollectiveSample>& samples, const hw::CollectiveCurve& smooth,
                         hw::Bytes first, std::size_t count) {
  constexpr double kStraight = 0.2, kToOne = 1e-3;
  hw::SizeRatios result{.first = first, .count = count};
  const auto points = static_cast<Eigen::Index>(count);
  Eigen::MatrixXd normal = kToOne * Eigen::MatrixXd::Identity(points, points);
  Eigen::VectorXd right = Eigen::VectorXd::Zero(points);
  const Eigen::Vector3d second_difference{1, -2, 1};
  for (Eigen::Index i = 0; i + 2 < points; ++i)
    normal.block<3, 3>(i, i) += kStraight * kStraight * second_difference * second_difference.transpose();
  for (const CollectiveSample& s : samples) {
    const auto [index, within] = result.position(s.sent);
    const Eigen::Vector2d shares{1 - within, within};
    const auto at = static_cast<Eigen::Index>(index);
    normal.block<2, 2>(at, at) += shares * shares.transpose();
    right.segment<2>(at) += shares * std::log(s.time.value / smooth_time(smooth, s.sent));
  }
  const Eigen::VectorXd logs = normal.llt().solve(right);
  for (std::size_t i = 0; i < count; ++i)
    result.ratio[i] = static_cast<float>(std::exp(logs[static_cast<Eigen::Index>(i)]));
  return result;
}

/// Evens ratios out where a larger payload would take less time. Within a doubling the ratio is linear and the smooth
/// time grows by `growth` of its end at most at that end, so that the next ratio must reach 1 / (1 + growth) of one.
/// The mean of raising the later and lowering the earlier ones.
void make_monotone(hw::CollectiveCurve& curve) {
  hw::SizeRatios& ratios = curve.ratios;
  std::array<double, hw::SizeRatios::kMost> least{}, raised{}, lowered{};
  for (std::size_t i = 0; i < ratios.count; ++i) {
    raised[i] = lowered[i] = static_cast<double>(ratios.ratio[i]);
    if (i == 0) continue;
    const hw::Bytes from = std::ldexp(1.0, static_cast<int>(i) - 1) * ratios.first, to = 2.0 * from;
    const double slope = 1 / curve.bandwidth.value + curve.slope / (2 * std::sqrt(to.value));
    least[i] = 1 / (1 + slope * from.value / smooth_time(curve, to));
  }
  for (std::size_t i = 1; i < ratios.count; ++i) raised[i] = std::max(raised[i], least[i] * raised[i - 1]);
  for (std::size_t i = ratios.count - 1; i > 0; --i) lowered[i - 1] = std::min(lowered[i - 1], lowered[i] / least[i]);
  for (std::size_t i = 0; i < ratios.count; ++i) ratios.ratio[i] = static_cast<float>((raised[i] + lowered[i]) / 2);
}

/// `all` gives the sizes of the table of ratios, `fitted` what it is fitted to.
hw::CollectiveCurve fit_curve(const std::vector<CollectiveSample>& fitted, const std::vector<CollectiveSample>& all) {
  const auto by_sent = [](const auto& a, const auto& b) { return a.sent < b.sent; };
  const auto [smallest, largest] = std::minmax_element(all.begin(), all.end(), by_sent);
  const auto doublings = static_cast<std::size_t>(std::lround(std::log2(largest->sent / smallest->sent)));
  hw::CollectiveCurve curve = smooth_curve(fitted);
  curve.ratios =
      ratios_of(fitted, curve, smallest->sent, std::clamp<std::size_t>(doublings + 1, 2, hw::SizeRatios::kMost));
  make_monotone(curve);
  return curve;
}

}  // namespace

FittedCollective fit_collective(const std::vector<CollectiveSample>& samples) {
  FittedCollective result{.curve = fit_curve(samples, samples), .report = {}, .held_out_all_sizes = {}};
  std::vector<double> in_sample, held_out, held_out_all;
  for (const CollectiveSample& s : samples)
    if (s.payload >= kLeastReportedPayload) in_sample.push_back(predicted(result.curve, s.sent) / s.time.value - 1);
  for (int fold = 0; fold < kFolds; ++fold) {
    std::vector<CollectiveSample> fitted;
    const auto is_out = [fold](const auto& s) { return octave(s.payload) % kFolds == fold; };
    std::copy_if(samples.begin(), samples.end(), std::back_inserter(fitted), [&](const auto& s) { return !is_out(s); });
    if (fitted.size() < kFewestSizes) continue;
    const hw::CollectiveCurve curve = fit_curve(fitted, samples);
    for (const CollectiveSample& s : samples) {
      if (!is_out(s)) continue;
      const double error = predicted(curve, s.sent) / s.time.value - 1;
      held_out_all.push_back(error);
      if (s.payload >= kLeastReportedPayload) held_out.push_back(error);
    }
  }
  constexpr int kSmoothParameters = 3;
  result.report.parameters = kSmoothParameters + static_cast<int>(result.curve.ratios.count);
  result.report.set_errors(std::move(in_sample), std::move(held_out));
  result.held_out_all_sizes = fit_errors(held_out_all);
  return result;
}

}  // namespace calibration
