#include "calibration/memory_bound_fit.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>
#include <vector>

#include "calibration/robust_fit.h"
#include "calibration/statistics.h"

namespace calibration {
namespace {

constexpr double kMicrosecond = 1e-6;
constexpr double kOrdinaryMiss = 0.05;  // of log(predicted / measured)

struct Sample {
  double bytes, time;
  bool held_out;
};

double predicted(const StreamSpeed& speed, double bytes) {
  return speed.overhead.value + bytes / speed.bandwidth.value;
}

StreamSpeed speed_of(const std::vector<double>& p) { return {{std::exp(p[0])}, {std::exp(p[1])}}; }

StreamSpeed fit_stream(const std::vector<Sample>& samples, double hbm) {
  std::vector<Sample> fitted;
  std::copy_if(samples.begin(), samples.end(), std::back_inserter(fitted), [](const Sample& s) { return !s.held_out; });
  constexpr double kFirstOverhead = 2e-6, kShortest = 1e-8, kLongest = 1e-4;
  const std::vector<Bounded> bounds{{std::log(kFirstOverhead), std::log(kShortest), std::log(kLongest)},
                                    {std::log(hbm / 2), std::log(hbm / 100), std::log(hbm)}};
  return speed_of(robust_fit(bounds, fitted.size(), [&](const std::vector<double>& p, std::vector<double>& r) {
    for (std::size_t i = 0; i < fitted.size(); ++i)
      r[i] = std::log(predicted(speed_of(p), fitted[i].bytes) / fitted[i].time) / kOrdinaryMiss;
  }));
}

FittedCurve measured_against(const StreamSpeed& speed, const std::vector<Sample>& samples) {
  std::vector<double> fitted, held_out;
  for (const Sample& s : samples) (s.held_out ? held_out : fitted).push_back(predicted(speed, s.bytes) / s.time - 1);
  FittedCurve curve;
  curve.parameters = 2;
  curve.set_errors(std::move(fitted), std::move(held_out));
  return curve;
}

std::string share_text(const StreamSpeed& speed, double hbm) {
  return rounded(100 * speed.bandwidth.value / hbm, 3) + " % of HBM, " + rounded(speed.overhead.value * 1e6, 3) + " us";
}

constexpr std::size_t kFewest = 8;  // samples that two numbers are fitted to

}  // namespace

CastFit fit_casts(const OperatorTables& tables) {
  std::map<std::string, std::vector<Sample>> by_system;
  CastFit result;
  result.fit.notes = read_table(tables, "quant_fp8_trtllm", [&](CsvTable& table) {
    const std::size_t op = table.column("op"), m = table.column("m"), k = table.column("k"),
                      time = table.column("time_us");
    return [&by_system, op, m, k, time](const CsvRow& row, const std::string& system, Unused& unused) {
      constexpr double kBytesPerElement = 3;
      if (row.text(op) != "fp8_static_quant") return unused.count("other than fp8_static_quant");
      const std::int64_t rows = row.positive_int(m), columns = row.positive_int(k);
      by_system[system].push_back({kBytesPerElement * static_cast<double>(rows * columns),
                                   kMicrosecond * row.positive(time), is_held_out({rows, columns})});
    };
  });
  std::vector<double> overheads;
  for (const auto& [system, samples] : by_system) {
    if (samples.size() < kFewest) continue;
    const double hbm = tables.machine(system)->gpu.memory_bandwidth.value;
    const StreamSpeed speed = fit_stream(samples, hbm);
    FittedCurve curve = measured_against(speed, samples);
    curve.family = "cast";
    curve.system = system;
    curve.kind = "bf16 to fp8";
    curve.selection = share_text(speed, hbm);
    result.fit.curves.push_back(curve);
    result.speeds[system] = speed;
    overheads.push_back(speed.overhead.value * 1e6);
  }
  if (!overheads.empty()) {
    Members overhead;
    overhead.number("value", median(overheads), 3);
    overhead.text("source", "operator tables: static casts to fp8, the median machine's overhead");
    overhead.text("data", std::to_string(overheads.size()) + " machines").text("date", tables.date);
    result.fit.scalars.emplace_back("/shared/scalars/pointwise_overhead_us", overhead.node());
  }
  return result;
}

FamilyFit fit_norms(const OperatorTables& tables) {
  std::map<std::tuple<std::string, std::string>, std::vector<Sample>> kinds;
  FamilyFit fit;
  fit.notes = read_table(tables, "norms_cudnn_fwd_bwd", [&](CsvTable& table) {
    const std::size_t backend = table.column("backend"), tokens = table.column("tokens"),
                      hidden = table.column("hidden"), forward = table.column("fwd_us"),
                      backward = table.column("bwd_us"), norm = table.column("norm");
    return [=, &kinds](const CsvRow& row, const std::string& system, Unused&) {
      // Forward reads x and writes y; backward reads x and dy and writes dx; 2 B each.
      constexpr double kForwardBytes = 4, kBackwardBytes = 6;
      const std::int64_t rows = row.positive_int(tokens), columns = row.positive_int(hidden);
      const auto elements = static_cast<double>(rows * columns);
      const std::string kind = std::string(row.text(backend)) + " " + std::string(row.text(norm));
      const bool held_out = is_held_out({rows, columns});
      if (const auto us = row.non_negative_if_stated(forward); us && *us > 0)
        kinds[{system, kind + " forward"}].push_back({kForwardBytes * elements, kMicrosecond * *us, held_out});
      if (const auto us = row.non_negative_if_stated(backward); us && *us > 0)
        kinds[{system, kind + " backward"}].push_back({kBackwardBytes * elements, kMicrosecond * *us, held_out});
    };
  });
  for (const auto& [key, samples] : kinds) {
    if (samples.size() < kFewest) continue;
    const auto& [system, kind] = key;
    const double hbm = tables.machine(system)->gpu.memory_bandwidth.value;
    const StreamSpeed speed = fit_stream(samples, hbm);
    FittedCurve curve = measured_against(speed, samples);
    curve.family = "norm";
    curve.system = system;
    curve.kind = kind;
    curve.selection = share_text(speed, hbm);
    fit.curves.push_back(curve);
  }
  return fit;
}

}  // namespace calibration
