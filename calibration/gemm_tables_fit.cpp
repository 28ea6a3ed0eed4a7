// The tables of GEMMs: reading them, and what of a profile they replace. The fit of one curve: gemm_fit.cpp.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>

#include "calibration/gemm_fit.h"
#include "calibration/parallel.h"
#include "calibration/robust_fit.h"
#include "calibration/statistics.h"

namespace calibration {
namespace {

constexpr double kMicrosecond = 1e-6, kTera = 1e12;
constexpr std::int64_t kSmallest = std::int64_t{1} << hw::GemmGrid::kFirstOctave;

struct Key {
  std::string system;
  hw::DType type;
  models::GemmRole role;
  auto operator<=>(const Key&) const = default;
};
using Samples = std::map<Key, std::vector<GemmSample>>;

bool is_unquantised(hw::DType type) { return hw::bytes_per_element(type) >= 2; }

std::optional<models::GemmRole> role_of(std::string_view name) {
  if (name.empty() || name == "forward") return models::GemmRole::forward;
  if (name == "input_grad") return models::GemmRole::input_grad;
  if (name == "weight_grad") return models::GemmRole::weight_grad;
  return std::nullopt;
}

/// Casts read 2 B an element and write it in the new format.
hw::Seconds cast_time(const StreamSpeed& speed, sim::GemmShape shape, hw::DType type) {
  const double elements = static_cast<double>(shape.m) * static_cast<double>(shape.k);
  return speed.overhead + hw::Bytes{elements * (2 + hw::bytes_per_element(type))} / speed.bandwidth;
}

class Reader {
 public:
  Reader(Samples& samples, const std::map<std::string, StreamSpeed>& casts, bool first, CsvTable& table)
      : samples_(samples),
        casts_(casts),
        first_(first),
        dtype_(table.column("dtype")),
        m_(table.column("m")),
        n_(table.column("n")),
        k_(table.column("k")),
        time_(table.column("time_us")),
        cast_(table.find("est_quant_us")),
        role_(table.find("role")) {}

  void operator()(const CsvRow& row, const std::string& system, Unused& unused) const {
    const auto type = table_dtype(row.text(dtype_));
    if (!type) row.fail(dtype_, "must be bfloat16, float16, float32, fp8, fp8_block, mxfp8 or nvfp4");
    const auto role = role_ ? role_of(row.text(*role_)) : models::GemmRole::forward;
    if (!role) row.fail(*role_, "must be forward, input_grad or weight_grad");
    GemmSample sample{.shape = {row.positive_int(m_), row.positive_int(n_), row.positive_int(k_)},
                      .time = {kMicrosecond * row.positive(time_)},
                      .cast = {}};
    if (std::min({sample.shape.m, sample.shape.n, sample.shape.k}) < kSmallest)
      return unused.count("m, n or k below " + std::to_string(kSmallest));
    if (!first_ && !is_unquantised(*type)) return unused.count("a second collection, whose casts are other kernels");
    if (!is_unquantised(*type) && !take_cast(row, system, *type, sample, unused)) return;
    samples_[{system, *type, *role}].push_back(sample);
  }

 private:
  /// The time of the cast in it: measured beside it and taken off, else by the curve of casts. False: not known.
  bool take_cast(const CsvRow& row, const std::string& system, hw::DType type, GemmSample& sample,
                 Unused& unused) const {
    constexpr double kLeastGemm = 0.3;  // of the time: below, the rest is noise
    if (const auto cast = cast_ ? row.non_negative_if_stated(*cast_) : std::nullopt) {
      const hw::Seconds net{sample.time.value - kMicrosecond * *cast};
      if (net / sample.time < kLeastGemm) {
        unused.count("the cast takes more than 70 % of the time");
        return false;
      }
      sample.time = net;
      return true;
    }
    const auto speed = casts_.find(system);
    if (speed == casts_.end()) {
      unused.count("quantised, and no table tells what the cast takes");
      return false;
    }
    sample.cast = cast_time(speed->second, sample.shape, type);
    return true;
  }

  Samples& samples_;
  const std::map<std::string, StreamSpeed>& casts_;
  bool first_;
  std::size_t dtype_, m_, n_, k_, time_;
  std::optional<std::size_t> cast_, role_;
};

/// The geometric mean of all rows of a shape.
void merge_repeats(std::vector<GemmSample>& samples) {
  const auto key = [](const GemmSample& s) { return std::tuple(s.shape.m, s.shape.n, s.shape.k); };
  std::stable_sort(samples.begin(), samples.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  std::vector<GemmSample> merged;
  for (auto from = samples.begin(); from != samples.end();) {
    double log_sum = 0;
    const auto to = std::find_if(from, samples.end(), [&](const auto& s) { return key(s) != key(*from); });
    for (auto each = from; each != to; ++each) log_sum += std::log(each->time.value);
    merged.push_back(*from);
    merged.back().time = {std::exp(log_sum / static_cast<double>(to - from))};
    from = to;
  }
  samples = std::move(merged);
}

std::vector<std::string> collections(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (file.starts_with("gemm_alt") && (file.ends_with(".csv") || file.ends_with(".csv.gz")))
      names.push_back(file.substr(0, file.find(".csv")));
  }
  std::sort(names.begin(), names.end());
  names.insert(names.begin(), "gemm");
  return names;
}

/// A line for each octave of m and n.
std::string grid_json(const hw::GemmGrid& grid) {
  std::string lines = "[";
  for (std::size_t i = 0; i < hw::GemmGrid::kPoints; i += hw::GemmGrid::kDepth)
    lines += (i > 0 ? ", \"" : "\"") + thousandths(grid.ratio.data() + i, hw::GemmGrid::kDepth) + '"';
  return lines + "]";
}

hw::Node gemm_node(const FittedGemm& fitted, const OperatorTables& tables) {
  const hw::GemmCurve& curve = fitted.curve;
  return Members()
      .number("rate_TFLOPS", curve.rate.value / kTera)
      .number("bandwidth_TBps", curve.bandwidth.value / kTera)
      .number("overhead_us", curve.overhead.value / kMicrosecond, 3)
      .number("exponent", curve.exponent)
      .number("padding", curve.padding, 3)
      .number("wave", curve.wave, 3)
      .text("origin", "curve")
      .text("source", fitted.report.kind + " of the operator tables")
      .text("data", "held out: one (n, k) pair in five; m, n, k >= 256")
      .text("date", tables.date)
      .raw("range", "[256, 65536]")
      .errors(fitted.report)
      .raw("grid", grid_json(*curve.grid))
      .node();
}

/// The rate of a gradient's GEMMs relative to the forward curve.
void fit_role(const std::vector<GemmSample>& samples, const Key& key, const hw::GemmCurve& curve, FamilyFit& fit) {
  constexpr double kOrdinaryMiss = 0.05;
  const auto time = [&](const GemmSample& s, double rate) {
    const hw::Flops flops{2.0 * static_cast<double>(s.shape.m * s.shape.n) * static_cast<double>(s.shape.k)};
    return sim::gemm_time(curve, s.shape, flops, gemm_bytes(s.shape, key.type, key.role), rate) + s.cast;
  };
  const double rate =
      std::exp(robust_fit({{0, -2, 1}}, samples.size(), [&](const std::vector<double>& p, std::vector<double>& r) {
        for (std::size_t i = 0; i < samples.size(); ++i)
          r[i] = std::log(time(samples[i], std::exp(p[0])) / samples[i].time) / kOrdinaryMiss;
      })[0]);
  std::vector<double> errors;
  errors.reserve(samples.size());
  for (const GemmSample& s : samples) errors.push_back(time(s, rate) / s.time - 1);
  const bool input = key.role == models::GemmRole::input_grad;
  FittedCurve report;
  report.family = "gemm";
  report.system = key.system;
  report.kind = std::string(hw::name(key.type)) + (input ? " input_grad" : " weight_grad");
  report.parameters = 1;
  report.fitted = fit_errors(errors);
  report.selection = "rate " + rounded(rate, 3) + " of forward";
  fit.curves.push_back(report);
  const std::string name = input ? "input_grad_rate" : "weight_grad_rate";
  fit.scalars.emplace_back("/devices/" + key.system + "/scalars/" + name,
                           Members()
                               .number("value", rate, 3)
                               .text("source", "operator tables: " + report.kind)
                               .text("data", std::to_string(samples.size()) + " rows, median error " +
                                                 rounded(100 * report.fitted.median, 2) + " %")
                               .node());
}

}  // namespace

GemmTablesFit fit_gemms(const OperatorTables& tables, const std::map<std::string, StreamSpeed>& casts) {
  GemmTablesFit result;
  Samples samples;
  const std::vector<std::string> names = collections(tables.folder);
  std::vector<Samples> read(names.size());
  std::vector<std::vector<std::string>> notes(names.size());
  for_each_index(names.size(), [&](std::size_t i) {
    notes[i] = read_table(tables, names[i], [&, i](CsvTable& table) { return Reader(read[i], casts, i == 0, table); });
  });
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (auto& [key, rows] : read[i]) samples[key].insert(samples[key].end(), rows.begin(), rows.end());
    result.fit.notes.insert(result.fit.notes.end(), notes[i].begin(), notes[i].end());
  }
  constexpr std::size_t kFewest = 100;  // shapes that a grid is fitted to
  std::vector<std::pair<Key, std::vector<GemmSample>*>> forward;
  for (auto& [key, rows] : samples) {
    merge_repeats(rows);
    if (key.role != models::GemmRole::forward) continue;
    if (rows.size() >= kFewest) forward.emplace_back(key, &rows);
    else
      result.fit.notes.push_back("gemm: " + key.system + " " + std::string(hw::name(key.type)) +
                                 ": fewer than 100 shapes, not fitted");
  }
  std::vector<FittedGemm> fits(forward.size());
  for_each_index(forward.size(), [&](std::size_t i) {
    const Key& key = forward[i].first;
    fits[i] = fit_gemm(*forward[i].second, key.type, tables.machine(key.system)->gpu);
  });
  for (std::size_t i = 0; i < forward.size(); ++i) {
    const Key& key = forward[i].first;
    FittedCurve& report = fits[i].report;
    report.family = "gemm";
    report.system = key.system;
    report.kind = report.group = hw::name(key.type);
    result.fit.values.emplace_back("/devices/" + key.system + "/gemm/" + report.kind, gemm_node(fits[i], tables));
    result.fit.curves.push_back(report);
    result.curves[{key.system, key.type}] = fits[i].curve;
  }
  for (const auto& [key, rows] : samples) {
    if (key.role == models::GemmRole::forward) continue;
    const auto curve = result.curves.find({key.system, key.type});
    if (curve != result.curves.end()) fit_role(rows, key, curve->second, result.fit);
    else result.fit.notes.push_back("gemm: gradients of " + key.system + " without a forward table: not used");
  }
  return result;
}

}  // namespace calibration
