// The tables of attention: reading them, and what of a profile they replace. The fit of curves: attention_fit.cpp.
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <tuple>
#include <utility>

#include "calibration/attention_fit.h"
#include "hw/units.h"

namespace calibration {
namespace {

constexpr double kTera = 1e12;
constexpr std::array<const char*, kAttentionClasses> kClassNames{"causal", "full", "mla", "mla_full"};

struct Row {
  AttentionSample sample;
  bool deterministic = false;
};
using Key = std::tuple<std::string, hw::DType, bool>;  ///< machine, format, backward
using Rows = std::map<Key, std::vector<Row>>;

int dimension(const CsvRow& row, std::size_t column) {
  constexpr std::int64_t kMost = 1 << 20;
  const std::int64_t size = row.positive_int(column);
  if (size > kMost) row.fail(column, "must be at most 2^20");
  return static_cast<int>(size);
}

class Reader {
 public:
  Reader(Rows& rows, CsvTable& t)
      : rows_(rows),
        dtype_(t.column("dtype")),
        mask_(t.column("mask")),
        window_(t.column("window")),
        batch_(t.column("batch")),
        heads_(t.column("heads")),
        kv_heads_(t.column("kv_heads")),
        qk_(t.column("head_dim_qk")),
        v_(t.column("head_dim_vo")),
        queries_(t.column("seqlen_q")),
        keys_(t.column("seqlen_k")),
        pass_(t.column("pass")),
        deterministic_(t.column("deterministic")),
        time_(t.column("time_us")) {}

  void operator()(const CsvRow& row, const std::string& system, Unused& unused) const {
    const auto type = table_dtype(row.text(dtype_));
    if (!type) row.fail(dtype_, "must be bfloat16, float16, float32, fp8, fp8_block, mxfp8 or nvfp4");
    const bool causal = row.text(mask_) == "top_left";
    if (!causal && row.text(mask_) != "no_mask") row.fail(mask_, "must be top_left or no_mask");
    const bool backward = row.text(pass_) == "bwd";
    if (!backward && row.text(pass_) != "fwd") row.fail(pass_, "must be fwd or bwd");
    if (!row.text(window_).empty()) return unused.count("with a sliding window");
    Row read{.sample = {.work = {.batch = dimension(row, batch_),
                                 .queries = row.positive_int(queries_),
                                 .keys = row.positive_int(keys_),
                                 .heads = dimension(row, heads_),
                                 .kv_heads = dimension(row, kv_heads_),
                                 .qk_dim = dimension(row, qk_),
                                 .v_dim = dimension(row, v_),
                                 .mask = causal ? models::Mask::causal : models::Mask::full,
                                 .causal = causal,
                                 .backward = backward,
                                 .operand = *type},
                        .time = hw::microseconds(row.positive(time_))},
             .deterministic = row.text(deterministic_) == "True"};
    if (causal && read.sample.work.queries != read.sample.work.keys)
      return unused.count("causal with other keys than queries");
    rows_[{system, *type, backward}].push_back(read);
  }

 private:
  Rows& rows_;
  std::size_t dtype_, mask_, window_, batch_, heads_, kv_heads_, qk_, v_, queries_, keys_, pass_, deterministic_, time_;
};

/// Deterministic kernels are others; they stand in only where a curve would have no rows.
std::vector<AttentionSample> without_deterministic(const std::vector<Row>& rows, std::size_t& left_out) {
  std::array<bool, kAttentionClasses> has_others{};
  const auto kind = [](const Row& row) { return static_cast<std::size_t>(row.sample.kind()); };
  for (const Row& row : rows) has_others[kind(row)] = has_others[kind(row)] || !row.deterministic;
  std::vector<AttentionSample> samples;
  for (const Row& row : rows) {
    if (row.deterministic && has_others[kind(row)]) ++left_out;
    else samples.push_back(row.sample);
  }
  return samples;
}

std::string range_of(const std::vector<AttentionSample>& samples, std::size_t kind) {
  std::int64_t lowest = INT64_MAX, highest = 0;
  for (const AttentionSample& s : samples) {
    if (static_cast<std::size_t>(s.kind()) != kind) continue;
    lowest = std::min(lowest, s.work.keys);
    highest = std::max(highest, s.work.keys);
  }
  return "[" + std::to_string(lowest) + ", " + std::to_string(highest) + "]";
}

Members shape_of(const hw::AttentionCurve& curve) {
  return Members()
      .number("rate_TFLOPS", curve.rate.value / kTera)
      .number("ramp_tokens", curve.ramp, 3)
      .number("droop", curve.droop, 3)
      .number("wave", curve.wave, 3)
      .count("tile", static_cast<std::size_t>(curve.tile));
}

hw::Node attention_node(const hw::AttentionCurve& curve, const FittedCurve& report, const std::string& range,
                        const std::string& date) {
  return shape_of(curve)
      .text("origin", "curve")
      .text("source", "cuDNN training kernels of the operator tables")
      .text("data", "range is of keys; held out: one shape in five")
      .text("date", date)
      .raw("range", range)
      .errors(report)
      .node();
}

/// A profile has a curve for each mask and MLA: those without rows are the nearest that have some.
hw::Node borrowed_node(const FittedAttention& fitted, std::size_t kind, const std::string& date) {
  using enum AttentionClass;
  constexpr std::array<std::array<AttentionClass, 3>, kAttentionClasses> kNearest{
      {{full, mla, mla_full}, {causal, mla_full, mla}, {causal, mla_full, full}, {full, mla, causal}}};
  for (const AttentionClass other : kNearest[kind]) {
    const auto from = static_cast<std::size_t>(other);
    if (!fitted.curves[from]) continue;
    return shape_of(*fitted.curves[from])
        .text("origin", "interpolated")
        .text("source", "cuDNN training kernels of the operator tables")
        .text("note", std::string("the table has no such rows: as ") + kClassNames[from])
        .text("date", date)
        .node();
  }
  return Members().node();
}

}  // namespace

FamilyFit fit_attention_tables(const OperatorTables& tables, hw::Seconds overhead) {
  Rows rows;
  FamilyFit fit;
  fit.notes = read_table(tables, "attention_cudnn_fwd_bwd", [&](CsvTable& table) { return Reader(rows, table); });
  std::size_t deterministic = 0;
  for (const auto& [key, all] : rows) {
    const auto& [system, type, backward] = key;
    const std::vector<AttentionSample> samples = without_deterministic(all, deterministic);
    FittedAttention fitted = fit_attention(samples, tables.machine(system)->gpu, overhead);
    for (std::size_t kind = 0; kind < kAttentionClasses; ++kind) {
      const std::string name = std::string(kClassNames[kind]) + (backward ? "_backward" : "_forward");
      const std::string pointer = "/devices/" + system + "/attention/" + std::string(hw::name(type)) + "/" + name;
      if (!fitted.curves[kind]) {
        fit.values.emplace_back(pointer, borrowed_node(fitted, kind, tables.date));
        continue;
      }
      FittedCurve& report = fitted.reports[kind];
      report.family = "attention";
      report.system = system;
      report.group = hw::name(type);
      report.kind = report.group + " " + name;
      fit.curves.push_back(report);
      fit.values.emplace_back(pointer,
                              attention_node(*fitted.curves[kind], report, range_of(samples, kind), tables.date));
    }
  }
  if (deterministic > 0)
    fit.notes.push_back("attention_cudnn_fwd_bwd: " + std::to_string(deterministic) +
                        " rows not used: deterministic kernels beside others");
  return fit;
}

}  // namespace calibration
