#include "calibration/gemm_fit.h"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>

#include "calibration/robust_fit.h"

namespace calibration {
namespace {

hw::Flops flops_of(sim::GemmShape s) {
  return {2.0 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k)};
}

/// A sample with what does not change while its curve is fitted.
struct Point {
  sim::GemmShape shape;
  hw::Flops flops;
  hw::Bytes bytes;
  double log_time, cast;
};

/// Without the grid.
double smooth_time(const hw::GemmCurve& curve, const Point& p) {
  const double stretch = sim::tile_stretch(curve, p.shape.m, p.shape.n);
  return sim::gemm_time(curve, stretch * p.flops, p.bytes, 1).value;
}

constexpr std::size_t kRate = 0, kBandwidth = 1, kOverhead = 2, kExponent = 3, kPadding = 4,
                      kWave = 5;  // of the fitted numbers
constexpr int kSmoothParameters = 6;

hw::GemmCurve curve_of(const std::vector<double>& p, int sm_count) {
  return {.rate = {std::exp(p[kRate])},
          .bandwidth = {std::exp(p[kBandwidth])},
          .overhead = {std::exp(p[kOverhead])},
          .exponent = p[kExponent],
          .origin = hw::Origin::curve,
          .padding = p[kPadding],
          .wave = p[kWave],
          .sm_count = sm_count};
}

hw::GemmCurve fit_smooth(const std::vector<Point>& points, hw::DType type, const hw::Gpu& gpu) {
  constexpr double kOrdinaryMiss = 0.05;  // of log(predicted / measured)
  constexpr double kFirstShare = 0.7, kFirstOverhead = 3e-6;
  const double peak = hw::peak_of(gpu, type).value, hbm = gpu.memory_bandwidth.value;
  const auto about = [](double first, double below, double above) {
    return Bounded{std::log(first), std::log(first / below), std::log(first * above)};
  };
  const std::vector<Bounded> bounds{about(kFirstShare * peak, 20, 2),
                                    about(kFirstShare * hbm, 20, 2),
                                    about(kFirstOverhead, 30, 10),
                                    {2, 1, 5},
                                    {0.4, 0, 2},
                                    {0.1, 0, 2}};
  return curve_of(robust_fit(bounds, points.size(),
                             [&](const std::vector<double>& p, std::vector<double>& r) {
                               const hw::GemmCurve curve = curve_of(p, gpu.sm_count);
                               for (std::size_t i = 0; i < points.size(); ++i)
                                 r[i] =
                                     (std::log(smooth_time(curve, points[i]) + points[i].cast) - points[i].log_time) /
                                     kOrdinaryMiss;
                             }),
                  gpu.sm_count);
}

/// Padding, wave, then the logarithms of the grid's ratios.
constexpr Eigen::Index kTileWeights = 2, kUnknowns = kTileWeights + static_cast<Eigen::Index>(hw::GemmGrid::kPoints);

/// Draws the grid to neighbours on a straight line and weakly to 1, so that points without data follow those with.
Eigen::MatrixXd grid_prior() {
  constexpr double kStraight = 0.3, kToOne = 0.02, kFree = 1e-3;
  Eigen::MatrixXd prior = Eigen::MatrixXd::Zero(kUnknowns, kUnknowns);
  prior.diagonal().setConstant(kToOne * kToOne);
  prior.diagonal().head(kTileWeights).setConstant(kFree);
  const auto straighten = [&prior](Eigen::Index first, Eigen::Index step) {
    constexpr std::array<double, 3> kSecondDifference{1, -2, 1};
    for (Eigen::Index a = 0; a < 3; ++a)
      for (Eigen::Index b = 0; b < 3; ++b)
        prior(first + a * step, first + b * step) += kStraight * kStraight *
                                                     kSecondDifference[static_cast<std::size_t>(a)] *
                                                     kSecondDifference[static_cast<std::size_t>(b)];
  };
  constexpr Eigen::Index kRows = hw::GemmGrid::kRows, kColumns = hw::GemmGrid::kColumns, kDepth = hw::GemmGrid::kDepth;
  for (Eigen::Index m = 0; m < kRows; ++m)
    for (Eigen::Index n = 0; n < kColumns; ++n)
      for (Eigen::Index k = 0; k < kDepth; ++k) {
        const Eigen::Index here = kTileWeights + (m * kColumns + n) * kDepth + k;
        if (m + 2 < kRows) straighten(here, kColumns * kDepth);
        if (n + 2 < kColumns) straighten(here, kDepth);
        if (k + 2 < kDepth) straighten(here, 1);
      }
  return prior;
}

/// One point's row of the linearised fit: its few slopes, and its residual.
struct Row {
  std::array<Eigen::Index, 10> unknown;
  std::array<double, 10> slope;
  double residual;
};

Row linearised(const Point& point, const hw::GemmCurve& curve) {
  constexpr double kStep = 1e-4;
  hw::GemmCurve moved = curve;
  const double smooth = smooth_time(curve, point);
  moved.padding += kStep;
  const double padded = smooth_time(moved, point);
  moved.padding = curve.padding;
  moved.wave += kStep;
  const double waved = smooth_time(moved, point);
  const auto corners = hw::GemmGrid::corners(point.shape.m, point.shape.n, point.shape.k);
  const double ratio = curve.grid->at(point.shape.m, point.shape.n, point.shape.k);
  const double total = ratio * smooth + point.cast, share = ratio * smooth / total;
  Row row{{0, 1}, {share * (padded / smooth - 1) / kStep, share * (waved / smooth - 1) / kStep}, 0};
  for (std::size_t c = 0; c < corners.size(); ++c) {
    row.unknown[kTileWeights + c] = kTileWeights + static_cast<Eigen::Index>(corners[c].point);
    row.slope[kTileWeights + c] =
        share * corners[c].share * static_cast<double>(curve.grid->ratio[corners[c].point]) / ratio;
  }
  row.residual = point.log_time - std::log(total);
  return row;
}

/// One Gauss-Newton step of padding, wave and grid, everything else as it is.
hw::GemmCurve refined(const std::vector<Point>& points, const hw::GemmCurve& curve, const Eigen::MatrixXd& prior) {
  constexpr double kOrdinaryMiss = 0.02, kMostWeight = 1.5;
  Eigen::VectorXd now(kUnknowns);
  now << curve.padding, curve.wave, Eigen::VectorXd::Zero(kUnknowns - kTileWeights);
  for (std::size_t i = 0; i < hw::GemmGrid::kPoints; ++i)
    now[kTileWeights + static_cast<Eigen::Index>(i)] = std::log(static_cast<double>(curve.grid->ratio[i]));
  Eigen::MatrixXd normal = prior;
  Eigen::VectorXd gradient = -(prior * now);
  gradient.head(kTileWeights).setZero();
  for (const Point& point : points) {
    const Row row = linearised(point, curve);
    const double miss = row.residual / kOrdinaryMiss, weight = 1 / std::sqrt(1 + miss * miss);
    for (std::size_t a = 0; a < row.unknown.size(); ++a) {
      const double weighted = weight * row.slope[a];
      gradient[row.unknown[a]] += weighted * row.residual;
      for (std::size_t b = 0; b < row.unknown.size(); ++b)
        normal(row.unknown[a], row.unknown[b]) += weighted * row.slope[b];
    }
  }
  now += normal.llt().solve(gradient);
  hw::GemmCurve next = curve;
  next.padding = std::clamp(now[0], 0.0, kMostWeight);
  next.wave = std::clamp(now[1], 0.0, kMostWeight);
  auto grid = std::make_shared<hw::GemmGrid>();
  for (std::size_t i = 0; i < hw::GemmGrid::kPoints; ++i)
    grid->ratio[i] = static_cast<float>(std::exp(now[kTileWeights + static_cast<Eigen::Index>(i)]));
  next.grid = grid;
  return next;
}

/// Evens the grid out where a GEMM of twice the rows, columns or depth would take hardly longer or less: noise of short
/// kernels, and of what is left after a cast is taken off. The mean of raising the larger and lowering the smaller.
void make_monotone(hw::GemmCurve& curve, hw::DType type) {
  constexpr double kLeastGrowth = 1.005;  // an octave
  constexpr std::size_t kColumns = hw::GemmGrid::kColumns, kDepth = hw::GemmGrid::kDepth;
  constexpr std::array<std::size_t, 3> kSteps{kColumns * kDepth, kDepth, 1},
      kSizes{hw::GemmGrid::kRows, kColumns, kDepth};
  auto grid = std::make_shared<hw::GemmGrid>(*curve.grid);
  std::vector<double> smooth(hw::GemmGrid::kPoints), raised, lowered;
  const auto octave = [&](std::size_t i, std::size_t axis) { return i / kSteps[axis] % kSizes[axis]; };
  for (std::size_t i = 0; i < smooth.size(); ++i) {
    const auto size = [&](std::size_t axis) {
      return std::int64_t{1} << (hw::GemmGrid::kFirstOctave + octave(i, axis));
    };
    const sim::GemmShape shape{size(0), size(1), size(2)};
    smooth[i] = smooth_time(curve, {shape, flops_of(shape), gemm_bytes(shape, type, models::GemmRole::forward), 0, 0});
    raised.push_back(smooth[i] * static_cast<double>(grid->ratio[i]));
  }
  lowered = raised;
  for (std::size_t i = 0; i < smooth.size(); ++i)
    for (std::size_t axis = 0; axis < kSteps.size(); ++axis)
      if (octave(i, axis) > 0) raised[i] = std::max(raised[i], kLeastGrowth * raised[i - kSteps[axis]]);
  for (std::size_t i = smooth.size(); i-- > 0;)
    for (std::size_t axis = 0; axis < kSteps.size(); ++axis)
      if (octave(i, axis) + 1 < kSizes[axis])
        lowered[i] = std::min(lowered[i], lowered[i + kSteps[axis]] / kLeastGrowth);
  for (std::size_t i = 0; i < smooth.size(); ++i)
    grid->ratio[i] = static_cast<float>((raised[i] + lowered[i]) / 2 / smooth[i]);
  curve.grid = grid;
}

std::vector<Point> points_of(const std::vector<GemmSample>& samples, hw::DType type) {
  std::vector<Point> points;
  points.reserve(samples.size());
  for (const GemmSample& s : samples)
    points.push_back({s.shape, flops_of(s.shape), gemm_bytes(s.shape, type, models::GemmRole::forward),
                      std::log(s.time.value), s.cast.value});
  return points;
}

bool is_held_out(const GemmSample& sample) { return calibration::is_held_out({sample.shape.n, sample.shape.k}); }

}  // namespace

hw::Bytes gemm_bytes(sim::GemmShape s, hw::DType type, models::GemmRole role) {
  const auto m = static_cast<double>(s.m), n = static_cast<double>(s.n), k = static_cast<double>(s.k);
  // A weight gradient reads and writes the fp32 sum.
  const double result = role == models::GemmRole::weight_grad ? 8 : 2;
  return {hw::bytes_per_element(type) * (m * k + n * k) + result * m * n};
}

FittedGemm fit_gemm(const std::vector<GemmSample>& samples, hw::DType type, const hw::Gpu& gpu) {
  constexpr int kSteps = 6;
  std::vector<GemmSample> fitted;
  std::copy_if(samples.begin(), samples.end(), std::back_inserter(fitted),
               [](const auto& s) { return !is_held_out(s); });
  const std::vector<Point> points = points_of(fitted, type);
  FittedGemm result{.curve = fit_smooth(points, type, gpu), .report = {}};
  auto grid = std::make_shared<hw::GemmGrid>();
  grid->ratio.fill(1);
  result.curve.grid = grid;
  const Eigen::MatrixXd prior = grid_prior();
  for (int step = 0; step < kSteps; ++step) result.curve = refined(points, result.curve, prior);
  make_monotone(result.curve, type);

  std::vector<double> in_sample, held_out;
  for (const GemmSample& s : samples) {
    const hw::Seconds gemm = sim::gemm_time(result.curve, s.shape, flops_of(s.shape),
                                            gemm_bytes(s.shape, type, models::GemmRole::forward), 1);
    (is_held_out(s) ? held_out : in_sample).push_back((gemm + s.cast) / s.time - 1);
  }
  result.report.parameters = kSmoothParameters + static_cast<int>(hw::GemmGrid::kPoints);
  result.report.set_errors(std::move(in_sample), std::move(held_out));
  return result;
}

}  // namespace calibration
