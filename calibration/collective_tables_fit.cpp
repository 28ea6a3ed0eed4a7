// The table of collectives inside a node: reading it, and what of a profile it replaces. One curve: collective_fit.cpp.
#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>

#include "calibration/collective_fit.h"
#include "calibration/parallel.h"

namespace calibration {
namespace {

constexpr double kGiga = 1e9, kNano = 1e-9, kMicro = 1e-6;

using Key = std::tuple<std::string, std::string, int>;  ///< machine, collective as profiles name it, ranks
using Samples = std::map<Key, std::vector<CollectiveSample>>;

std::string profile_name(const CsvRow& row, std::size_t column) {
  const std::string_view name = row.text(column);
  if (name == "alltoall" || name == "all_to_all") return "all_to_all";
  if (name == "all_reduce" || name == "all_gather" || name == "reduce_scatter") return std::string(name);
  row.fail(column, "must be all_reduce, all_gather, reduce_scatter or alltoall");
}

/// The mean of all rows of a size.
void merge_repeats(std::vector<CollectiveSample>& samples) {
  std::stable_sort(samples.begin(), samples.end(), [](const auto& a, const auto& b) { return a.payload < b.payload; });
  std::vector<CollectiveSample> merged;
  for (auto from = samples.begin(); from != samples.end();) {
    hw::Seconds sum;
    const auto to = std::find_if(from, samples.end(), [&](const auto& s) { return s.payload != from->payload; });
    for (auto each = from; each != to; ++each) sum += each->time;
    merged.push_back(*from);
    merged.back().time = sum / static_cast<double>(to - from);
    from = to;
  }
  samples = std::move(merged);
}

/// A broadcast is one pass of a ring, as an all-gather is, and sends the payload as a whole.
hw::Node collective_node(const FittedCollective& fitted, const std::vector<CollectiveSample>& samples,
                         const std::string& date, bool broadcast) {
  const hw::CollectiveCurve& curve = fitted.curve;
  constexpr int kFirstDigits = 9;
  Members members;
  members.number("latency_us", curve.latency.value / kMicro, 3)
      .number("bandwidth_GBps", curve.bandwidth.value / kGiga)
      .number("slope_ns", curve.slope / kNano, 3)
      .text("origin", broadcast ? "interpolated" : "curve")
      .text("source", "NCCL tables (nccl-tests, out of place, half)");
  if (broadcast) members.text("note", "the all-gather curve: both are one pass of a ring");
  members.text("data", "range is of payload bytes; errors from 64 KiB on, each fifth octave held out in turn")
      .text("date", date)
      .numbers("range", {samples.front().payload.value, samples.back().payload.value}, kFirstDigits);
  if (!broadcast) members.errors(fitted.report);
  return members.number("ratios_from_bytes", curve.ratios.first.value, kFirstDigits)
      .text("ratios", thousandths(curve.ratios.ratio.data(), curve.ratios.count))
      .node();
}

}  // namespace

FamilyFit fit_collectives(const OperatorTables& tables) {
  Samples samples;
  FamilyFit fit;
  fit.notes = read_table(tables, "nccl_intranode", [&](CsvTable& table) {
    const std::size_t collective = table.column("collective"), dtype = table.column("dtype"),
                      ranks = table.column("n_gpus"), bytes = table.column("bytes"), time = table.column("time_us");
    return [=, &samples](const CsvRow& row, const std::string& system, Unused& unused) {
      if (row.text(dtype) != "half") return unused.count("of other dtypes than half");
      const std::int64_t n = row.positive_int(ranks);
      if (n != 2 && n != 4 && n != 8) return unused.count("of other numbers of ranks than 2, 4 and 8");
      const std::string name = profile_name(row, collective);
      const auto size = static_cast<double>(n);
      const double passes = name == "all_reduce" ? 2 : 1;
      const hw::Bytes payload{static_cast<double>(row.positive_int(bytes))};
      samples[{system, name, static_cast<int>(n)}].push_back(
          {payload, passes * (size - 1) / size * payload, hw::microseconds(row.positive(time))});
    };
  });
  std::vector<std::pair<Key, std::vector<CollectiveSample>*>> curves;
  constexpr std::size_t kFewest = 8;
  for (auto& [key, rows] : samples) {
    merge_repeats(rows);
    if (rows.size() >= kFewest) curves.emplace_back(key, &rows);
    else
      fit.notes.push_back("nccl_intranode: " + std::get<0>(key) + " " + std::get<1>(key) +
                          ": fewer than 8 sizes, not fitted");
  }
  std::vector<FittedCollective> fits(curves.size());
  for_each_index(curves.size(), [&](std::size_t i) { fits[i] = fit_collective(*curves[i].second); });
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const auto& [system, name, ranks] = curves[i].first;
    FittedCurve& report = fits[i].report;
    report.family = "collective";
    report.system = system;
    report.group = name;
    report.kind = name + " " + std::to_string(ranks);
    report.selection = "all sizes: " + rounded(100 * fits[i].held_out_all_sizes.median, 2) + " / " +
                       rounded(100 * fits[i].held_out_all_sizes.p90, 2) + " %";
    fit.curves.push_back(report);
    const std::string folder = "/devices/" + system + "/collectives/", curve = "/" + std::to_string(ranks);
    const auto add = [&](const std::string& kind, bool broadcast) {
      fit.values.emplace_back(folder + kind + curve,
                              collective_node(fits[i], *curves[i].second, tables.date, broadcast));
    };
    add(name, false);
    if (name == "all_gather") add("broadcast", true);
  }
  return fit;
}

}  // namespace calibration
