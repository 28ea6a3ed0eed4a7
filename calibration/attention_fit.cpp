#include "calibration/attention_fit.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

#include "calibration/robust_fit.h"
#include "sim/attention_cost.h"

namespace calibration {
namespace {

constexpr std::size_t index(AttentionClass kind) { return static_cast<std::size_t>(kind); }

/// Layout of the parameters: log rate and log ramp of each class, droop, wave of causal and of full masks.
constexpr std::size_t kRamps = kAttentionClasses, kDroop = 2 * kAttentionClasses, kWaves = kDroop + 1;
constexpr std::size_t kParameters = kWaves + 2, kPriors = 9;

bool is_full(std::size_t kind) {
  return kind == index(AttentionClass::full) || kind == index(AttentionClass::mla_full);
}

/// Rows of q that one SM of Blackwell works on in the forward pass: two tiles of 128 (two tensor-memory accumulators).
int tile_of(bool backward, const hw::Gpu& gpu) {
  constexpr int kTile = 128;
  return !backward && gpu.architecture.starts_with("sm_10") ? 2 * kTile : kTile;
}

hw::AttentionCurve curve_of(const std::vector<double>& p, std::size_t kind, int tile) {
  return {.rate = {std::exp(p[kind])},
          .ramp = std::exp(p[kRamps + kind]),
          .origin = hw::Origin::curve,
          .droop = p[kDroop],
          .wave = p[kWaves + (is_full(kind) ? 1 : 0)],
          .tile = tile};
}

double predicted(const AttentionSample& s, const hw::AttentionCurve& curve, int sm_count, hw::Seconds overhead) {
  return (sim::attention_stretch(s.work, curve, sm_count) * (s.flops() / curve.rate) + overhead).value;
}

/// What few samples leave open: MLA's ramp is the other heads' of the same mask within 60 %, causal ramps exceed full
/// ones, both MLA masks reach about the same rate, waves lose about half of what whole waves would.
void add_priors(const std::vector<double>& p, double peak, double* residual) {
  constexpr double kLoose = 0.1, kFirm = 1, kRampSpread = 0.6, kWave = 0.5, kWaveWeight = 0.3, kLogCausal = 1;
  const auto rate = [&](AttentionClass kind) { return p[index(kind)]; };
  const auto ramp = [&](AttentionClass kind) { return p[kRamps + index(kind)]; };
  using enum AttentionClass;
  *residual++ = (ramp(mla) - ramp(causal)) / kRampSpread;
  *residual++ = (ramp(mla_full) - ramp(full)) / kRampSpread;
  *residual++ = kLoose * (ramp(causal) - ramp(full) - kLogCausal);
  *residual++ = kFirm * (rate(mla) - rate(mla_full));
  *residual++ = kLoose * (rate(causal) - rate(full));
  *residual++ = kLoose * (rate(causal) - std::log(peak / 2));
  *residual++ = kLoose * (rate(mla) - rate(causal));
  *residual++ = kWaveWeight * (p[kWaves] - kWave);
  *residual++ = kWaveWeight * (p[kWaves + 1] - kWave);
}

std::vector<Bounded> bounds_of(double peak) {
  const Bounded rate{std::log(peak / 2), std::log(peak / 100), std::log(2 * peak)};
  const Bounded ramp{std::log(600.0), 0, std::log(20000.0)};
  std::vector<Bounded> bounds(kParameters, rate);
  std::fill_n(bounds.begin() + kRamps, kAttentionClasses, ramp);
  bounds[kDroop] = {0.02, 0, 0.3};
  bounds[kWaves] = bounds[kWaves + 1] = {0.5, 0, 1.5};
  return bounds;
}

}  // namespace

AttentionClass AttentionSample::kind() const {
  const bool full = work.mask == models::Mask::full;
  if (work.qk_dim != work.v_dim) return full ? AttentionClass::mla_full : AttentionClass::mla;
  return full ? AttentionClass::full : AttentionClass::causal;
}

hw::Flops AttentionSample::flops() const {
  const double pairs = static_cast<double>(work.batch * work.heads) * static_cast<double>(work.queries) *
                       static_cast<double>(work.keys) * (work.mask == models::Mask::full ? 1 : 0.5);
  const double dims = work.backward ? 3 * work.qk_dim + 2 * work.v_dim : work.qk_dim + work.v_dim;
  return {2 * pairs * dims};
}

bool AttentionSample::held_out() const {
  return is_held_out({work.batch, work.heads, work.qk_dim, work.v_dim, work.queries});
}

FittedAttention fit_attention(const std::vector<AttentionSample>& samples, const hw::Gpu& gpu, hw::Seconds overhead) {
  constexpr double kOrdinaryMiss = 0.02;  // of log(predicted / measured)
  std::vector<AttentionSample> fitted;
  std::copy_if(samples.begin(), samples.end(), std::back_inserter(fitted), [](const auto& s) { return !s.held_out(); });
  const int tile = tile_of(samples.front().work.backward, gpu);
  const double peak = hw::peak_of(gpu, samples.front().work.operand).value;
  const auto residuals = [&](const std::vector<double>& p, std::vector<double>& r) {
    for (std::size_t i = 0; i < fitted.size(); ++i) {
      const hw::AttentionCurve curve = curve_of(p, index(fitted[i].kind()), tile);
      r[i] = std::log(predicted(fitted[i], curve, gpu.sm_count, overhead) / fitted[i].time.value) / kOrdinaryMiss;
    }
    add_priors(p, peak, r.data() + fitted.size());
  };
  const std::vector<double> p = robust_fit(bounds_of(peak), fitted.size() + kPriors, residuals);

  FittedAttention result;
  std::array<std::vector<double>, kAttentionClasses> in_sample, held_out;
  for (const AttentionSample& s : samples) {
    const std::size_t kind = index(s.kind());
    const double error = predicted(s, curve_of(p, kind, tile), gpu.sm_count, overhead) / s.time.value - 1;
    (s.held_out() ? held_out : in_sample)[kind].push_back(error);
    result.curves[kind] = curve_of(p, kind, tile);
  }
  constexpr int kNumbersOfACurve = 4;
  for (std::size_t kind = 0; kind < kAttentionClasses; ++kind) {
    result.reports[kind].parameters = kNumbersOfACurve;
    result.reports[kind].set_errors(std::move(in_sample[kind]), std::move(held_out[kind]));
  }
  return result;
}

}  // namespace calibration
