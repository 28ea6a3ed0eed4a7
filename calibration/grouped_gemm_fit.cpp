#include "calibration/grouped_gemm_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <utility>

#include "calibration/robust_fit.h"

namespace calibration {
namespace {

constexpr double kOrdinaryMiss = 0.1;
constexpr double kBytes = 2;  // of an activation's element
constexpr const char* kMinLatency = "min_latency";

/// One rank's layer: rows of all its experts, and what was measured.
struct Layer {
  const hw::GemmCurve* curve;
  double hbm;  ///< bytes per second
  hw::DType type;
  double rows, groups, hidden, inner, up, tokens, time;  ///< up: 2 where the activation is gated
  bool held_out;
  std::string system;

  double rows_per_group() const { return rows / groups; }
};

constexpr std::size_t kRate = 0, kHalfTile = 1, kTraffic = 2, kFixed = 3, kBandwidth = 4;  // of the fitted numbers

double gemm(const Layer& l, const std::vector<double>& p, double n, double k) {
  const double waste = 1 + p[kHalfTile] / l.rows_per_group();
  const hw::Bytes bytes{hw::bytes_per_element(l.type) * (l.groups * n * k + l.rows * k) + kBytes * l.rows * n};
  return sim::gemm_time(*l.curve, {waste * 2 * l.rows * n * k}, bytes / std::exp(p[kBandwidth]), std::exp(p[kRate]))
      .value;
}

/// Both GEMMs; permuted rows and activations written and read, results summed, at a share of HBM; launches.
double predicted(const Layer& l, const std::vector<double>& p) {
  const double moved =
      kBytes * (l.rows * (2 * l.hidden + (l.up + 1) * l.inner) + l.rows * l.hidden + l.tokens * l.hidden);
  return gemm(l, p, l.up * l.inner, l.hidden) + gemm(l, p, l.hidden, l.inner) +
         moved / (std::exp(p[kTraffic]) * l.hbm) + p[kFixed];
}

using Layers = std::map<hw::DType, std::vector<Layer>>;

std::vector<double> fit_layers(const std::vector<Layer>& layers) {
  constexpr std::size_t kEnough = 6000;  // layers: more tell nothing new
  std::vector<const Layer*> fitted;
  for (const Layer& layer : layers)
    if (!layer.held_out) fitted.push_back(&layer);
  const std::size_t stride = std::max<std::size_t>(1, fitted.size() / kEnough);
  const std::size_t count = fitted.size() / stride;
  const std::vector<Bounded> bounds{{std::log(0.9), std::log(0.3), std::log(1.5)},
                                    {64, 0, 200},
                                    {std::log(0.5), std::log(0.05), std::log(1.0)},
                                    {2e-5, 0, 1e-4},
                                    {std::log(1.0), std::log(0.3), std::log(2.0)}};
  return robust_fit(bounds, count, [&](const std::vector<double>& p, std::vector<double>& r) {
    for (std::size_t i = 0; i < count; ++i)
      r[i] = std::log(predicted(*fitted[i * stride], p) / fitted[i * stride]->time) / kOrdinaryMiss;
  });
}

/// The rate that layers with so many rows a group ask for, everything else as fitted.
std::string rates_by_rows(const std::vector<Layer>& layers, const std::vector<double>& fitted) {
  constexpr std::array<std::pair<double, const char*>, 4> kFrom{
      {{16, "16-64"}, {64, "64-256"}, {256, "256-1k"}, {1024, "1k on"}}};
  std::string text = "rate by rows a group:";
  for (std::size_t band = 0; band < kFrom.size(); ++band) {
    const double to = band + 1 < kFrom.size() ? kFrom[band + 1].first : INFINITY;
    std::vector<const Layer*> inside;
    for (const Layer& l : layers)
      if (l.rows_per_group() >= kFrom[band].first && l.rows_per_group() < to) inside.push_back(&l);
    if (inside.empty()) continue;
    const double log_rate = robust_fit({{fitted[kRate], -2, 1.5}}, inside.size(),
                                       [&](const std::vector<double>& q, std::vector<double>& r) {
                                         std::vector<double> p = fitted;
                                         p[kRate] = q[0];
                                         for (std::size_t i = 0; i < inside.size(); ++i)
                                           r[i] = std::log(predicted(*inside[i], p) / inside[i]->time) / kOrdinaryMiss;
                                       })[0];
    text += std::string(" ") + kFrom[band].second + " " + rounded(std::exp(log_rate), 2);
  }
  return text;
}

FittedCurve report_of(const std::vector<Layer>& layers, const std::vector<double>& p, const std::string& system) {
  std::vector<double> in_sample, held_out;
  for (const Layer& l : layers)
    if (system == "all" || l.system == system)
      (l.held_out ? held_out : in_sample).push_back(predicted(l, p) / l.time - 1);
  FittedCurve report;
  report.family = "grouped";
  report.system = system;
  report.set_errors(std::move(in_sample), std::move(held_out));
  return report;
}

std::vector<std::string> read_layers(const OperatorTables& tables, const GemmCurves& curves, Layers& layers) {
  return read_table(tables, "moe_fused_fwd", [&](CsvTable& t) {
    const std::size_t dtype = t.column("dtype"), kernel = t.column("kernel"), hidden = t.column("hidden"),
                      inter = t.column("inter"), topk = t.column("topk"), experts = t.column("num_experts"),
                      tp = t.column("tp"), ep = t.column("ep"), tokens = t.column("num_tokens"),
                      distribution = t.column("distribution"), time = t.column("time_us");
    return [=, &tables, &curves, &layers](const CsvRow& row, const std::string& system, Unused& unused) {
      constexpr double kFewestRows = 1024, kFewestPerGroup = 16, kLeastHidden = 2048, kLeastInner = 256;
      if (row.text(distribution) != "balanced") return unused.count("of another distribution than balanced");
      if (row.text(kernel).find(kMinLatency) != std::string_view::npos)
        return unused.count("of a kernel for few tokens");
      const auto type = table_dtype(row.text(dtype));
      if (!type) row.fail(dtype, "must be bfloat16, float16, float32, fp8, fp8_block, mxfp8 or nvfp4");
      const auto curve = curves.find({system, *type});
      if (curve == curves.end()) return unused.count("no dense curve was fitted");
      const auto size = [&row](std::size_t column) { return static_cast<double>(row.positive_int(column)); };
      const bool gated = row.text(kernel).find("nongated") == std::string_view::npos;
      const Layer layer{.curve = &curve->second,
                        .hbm = tables.machine(system)->gpu.memory_bandwidth.value,
                        .type = *type,
                        .rows = size(tokens) * size(topk) / size(ep),
                        .groups = size(experts) / size(ep),
                        .hidden = size(hidden),
                        .inner = size(inter) / size(tp),
                        .up = gated ? 2.0 : 1.0,
                        .tokens = size(tokens),
                        .time = row.positive(time) * 1e-6,
                        .held_out = is_held_out({row.positive_int(hidden), row.positive_int(inter),
                                                 row.positive_int(tp), row.positive_int(ep), row.positive_int(tokens)}),
                        .system = system};
      if (layer.rows < kFewestRows || layer.rows_per_group() < kFewestPerGroup || layer.hidden < kLeastHidden ||
          layer.inner < kLeastInner)
        return unused.count("smaller than training's (1024 rows, 16 a group, hidden 2048, inner 256)");
      layers[*type].push_back(layer);
    };
  });
}

}  // namespace

FamilyFit fit_grouped_gemms(const OperatorTables& tables, const GemmCurves& curves) {
  Layers layers;
  FamilyFit fit;
  fit.notes = read_layers(tables, curves, layers);
  for (const auto& [type, all] : layers) {
    constexpr std::size_t kFewest = 100;
    if (all.size() < kFewest) continue;
    const std::vector<double> p = fit_layers(all);
    FittedCurve total = report_of(all, p, "all");
    total.kind = hw::name(type);
    total.parameters = 5;
    total.selection = rates_by_rows(all, p) + "; bandwidth x " + rounded(std::exp(p[kBandwidth]), 3) + ", half tile " +
                      rounded(p[kHalfTile], 3) + " rows, traffic at " + rounded(100 * std::exp(p[kTraffic]), 2) +
                      " % of HBM, " + rounded(p[kFixed] * 1e6, 2) + " us";
    fit.curves.push_back(total);
    std::map<std::string, bool> systems;
    for (const Layer& layer : all) systems[layer.system] = true;
    for (const auto& [system, _] : systems) {
      FittedCurve one = report_of(all, p, system);
      one.kind = hw::name(type);
      fit.curves.push_back(one);
    }
  }
  return fit;
}

}  // namespace calibration
