#include "calibration/dispatch_fit.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "calibration/robust_fit.h"
#include "calibration/statistics.h"
#include "models/routing.h"
#include "sim/expert_exchange_cost.h"

namespace calibration {
namespace {

constexpr double kOrdinaryMiss = 0.1;
constexpr std::int64_t kMostExperts = 1 << 20;                       // more are no experts: int stays enough
constexpr double kDispatchBytes = 1 + 4.0 / 128, kCombineBytes = 2;  // an element: fp8 with fp32 scales of 128, bf16

/// One measured dispatch or combine.
struct Transfer {
  models::ExpertExchange work;
  sim::Placement placement;
  hw::Seconds time;
  bool held_out;
};

using Key = std::tuple<std::string, std::string, bool>;  ///< machine, kernel, across nodes
using Transfers = std::map<Key, std::vector<Transfer>>;

/// A row's exchange of elements of this size; experts chosen evenly, a node a domain.
Transfer read_transfer(const CsvRow& row, CsvTable& t, int nodes, double bytes_per_element, double time_us) {
  const auto size = [&](const char* name) { return row.positive_int(*t.find(name)); };
  const auto count = [&](const char* name) {
    return static_cast<int>(std::min<std::int64_t>(size(name), kMostExperts));
  };
  const models::MoeSpec spec{.experts = count("num_experts"), .top_k = count("topk")};
  const int ranks = count("ep_size");
  if (spec.top_k > spec.experts) row.fail(*t.find("topk"), "must be at most num_experts");
  if (ranks > spec.experts) row.fail(*t.find("ep_size"), "must be at most num_experts");
  if (nodes > ranks) row.fail(*t.find("ep_size"), "must be at least nodes");
  const auto hit = [&](int places) { return models::distinct_buckets(spec, places, models::Routing::balanced_random); };
  return {.work = {.tokens = size("tokens_per_rank"),
                   .ranks_per_token = hit(ranks),
                   .nodes_per_token = hit(nodes),
                   .rows_per_token = spec.top_k,
                   .bytes_per_token = {static_cast<double>(size("hidden")) * bytes_per_element},
                   .dispatcher = models::Dispatcher::deepep},
          .placement = {.size = ranks, .members = ranks / nodes, .domains = nodes, .nodes = nodes},
          .time = hw::microseconds(time_us),
          .held_out = is_held_out({size("tokens_per_rank"), size("hidden"), spec.top_k, ranks})};
}

constexpr std::size_t kFewest = 8;           // rows that latency and bandwidth are fitted to
constexpr std::int64_t kFewestTokens = 128;  // a rank, below which training does not go

std::vector<std::string> read_deepep(const OperatorTables& tables, Transfers& transfers) {
  return read_table(tables, "deepep_normal", [&](CsvTable& t) {
    for (const char* name : {"tokens_per_rank", "hidden", "topk", "num_experts", "ep_size"}) t.column(name);
    const std::size_t nodes = t.column("nodes"), sms = t.column("dispatch_sms"), dispatch = t.column("dispatch_us"),
                      dispatch_notify = t.column("dispatch_notify_us"), combine = t.column("combine_us"),
                      combine_notify = t.column("combine_notify_us");
    return [=, &t, &transfers](const CsvRow& row, const std::string& system, Unused& unused) {
      constexpr std::int64_t kUsualSms = 20;  // DeepEP's default
      if (row.positive_int(sms) < kUsualSms) return unused.count("on fewer than 20 SMs");
      if (row.positive_int(*t.find("tokens_per_rank")) < kFewestTokens)
        return unused.count("of fewer than 128 tokens a rank");
      const int spanned = static_cast<int>(std::min<std::int64_t>(row.positive_int(nodes), kMostExperts));
      auto& kind = transfers[{system, "DeepEP", spanned > 1}];
      const auto add = [&](double bytes, std::size_t time, std::size_t notify) {
        const double us = row.positive(time) + row.non_negative_if_stated(notify).value_or(0);
        kind.push_back(read_transfer(row, t, spanned, bytes, us));
      };
      add(kDispatchBytes, dispatch, dispatch_notify);
      add(kCombineBytes, combine, combine_notify);
    };
  });
}

std::vector<std::string> read_nvlink(const OperatorTables& tables, Transfers& transfers) {
  return read_table(tables, "moe_alltoall_nvlink_gb200", [&](CsvTable& t) {
    for (const char* name : {"tokens_per_rank", "hidden", "topk", "num_experts", "ep_size"}) t.column(name);
    const std::size_t kernel = t.column("kernel"), phase = t.column("phase"), dtype = t.column("dtype"),
                      time = t.column("time_us");
    return [=, &t, &transfers](const CsvRow& row, const std::string& system, Unused& unused) {
      if (row.text(phase) == "alltoall_prepare") return unused.count("of the phase alltoall_prepare");
      if (row.text(dtype) != "bfloat16") return unused.count("of other dtypes than bfloat16");
      if (row.positive_int(*t.find("tokens_per_rank")) < kFewestTokens)
        return unused.count("of fewer than 128 tokens a rank");
      transfers[{system, std::string(row.text(kernel)), false}].push_back(
          read_transfer(row, t, 1, kCombineBytes, row.positive(time)));
    };
  });
}

double predicted(const Transfer& t, const hw::Cluster& machine, const hw::Efficiency& links) {
  return sim::expert_exchange_cost(t.work, t.placement, machine, links).time.value;
}

/// Latency and one bandwidth, NVLink's inside a node and the NIC's share across nodes.
hw::Efficiency fit_links(const std::vector<Transfer>& transfers, const hw::Cluster& machine,
                         const hw::Efficiency& first, bool across) {
  std::vector<Transfer> fitted;
  std::copy_if(transfers.begin(), transfers.end(), std::back_inserter(fitted),
               [](const auto& t) { return !t.held_out; });
  hw::Efficiency links = first;
  const auto set = [&](const std::vector<double>& p) {
    links.dispatch_latency = {std::exp(p[0])};
    if (across) links.dispatch_nic_fraction = std::exp(p[1]);
    else links.dispatch_nvlink = std::exp(p[1]) * machine.nvlink;
  };
  // 30 us, 1 to 300; half of the link, a fiftieth to all.
  const std::vector<Bounded> bounds{{std::log(3e-5), std::log(1e-6), std::log(3e-4)},
                                    {std::log(0.5), std::log(0.02), std::log(1.0)}};
  set(robust_fit(bounds, fitted.size(), [&](const std::vector<double>& p, std::vector<double>& r) {
    set(p);
    for (std::size_t i = 0; i < fitted.size(); ++i)
      r[i] = std::log(predicted(fitted[i], machine, links) / fitted[i].time.value) / kOrdinaryMiss;
  }));
  return links;
}

FittedCurve report_of(const std::vector<Transfer>& transfers, const hw::Cluster& machine, const hw::Efficiency& links) {
  std::vector<double> in_sample, out;
  for (const Transfer& t : transfers)
    (t.held_out ? out : in_sample).push_back(predicted(t, machine, links) / t.time.value - 1);
  FittedCurve report;
  report.family = "dispatch";
  report.parameters = 2;
  report.set_errors(std::move(in_sample), std::move(out));
  return report;
}

hw::Node scalar(double value, const FittedCurve& report, const std::string& what, const std::string& date) {
  return Members()
      .number("value", value, 3)
      .text("source", "operator tables: " + what)
      .text("data", std::to_string(report.fitted.count) + " points; held-out median error " +
                        rounded(100 * report.held_out.median, 2) + " %, p90 " + rounded(100 * report.held_out.p90, 2) +
                        " %")
      .text("date", date)
      .node();
}

}  // namespace

FamilyFit fit_dispatch(const OperatorTables& tables, const hw::Node& prior) {
  Transfers transfers;
  FamilyFit fit;
  fit.notes = read_deepep(tables, transfers);
  const std::vector<std::string> more = read_nvlink(tables, transfers);
  fit.notes.insert(fit.notes.end(), more.begin(), more.end());
  std::map<std::string, hw::BytesPerSecond> nvlink;  // by machine; sorted after: inside a node comes first
  std::vector<double> latencies;
  for (const auto& [key, rows] : transfers) {
    const auto& [system, kernel, across] = key;
    if (rows.size() < kFewest) {
      fit.notes.push_back("dispatch of " + kernel + " on " + system + ": too few rows to fit (" +
                          std::to_string(rows.size()) + ")");
      continue;
    }
    const hw::Cluster& machine = *tables.machine(system);
    hw::Efficiency first = hw::parse_efficiency(prior, machine);
    first.dispatch_nvlink = nvlink.contains(system) ? nvlink[system] : machine.nvlink;
    const hw::Efficiency links = fit_links(rows, machine, first, across);
    FittedCurve report = report_of(rows, machine, links);
    report.system = system;
    report.kind = kernel + (across ? " across nodes" : " in one domain");
    const double share = across ? links.dispatch_nic_fraction : links.dispatch_nvlink / machine.nvlink;
    report.selection = rounded(share, 3) + (across ? " of the NIC, " : " of NVLink, ") +
                       rounded(links.dispatch_latency.value * 1e6, 3) + " us";
    fit.curves.push_back(report);
    // On Blackwell, training runs HybridEP, which has no such table.
    if (kernel != "DeepEP" || machine.gpu.architecture != "sm_90") continue;
    if (across) {
      fit.scalars.emplace_back("/shared/scalars/dispatch_nic_fraction",
                               scalar(share, report, "DeepEP on " + system + " across nodes", tables.date));
      continue;
    }
    nvlink[system] = links.dispatch_nvlink;
    latencies.push_back(links.dispatch_latency.value * 1e6);
    fit.scalars.emplace_back("/devices/" + system + "/scalars/dispatch_nvlink_fraction",
                             scalar(share, report, "DeepEP on 20 SMs or more", tables.date));
  }
  if (!latencies.empty())
    fit.scalars.emplace_back("/shared/scalars/dispatch_latency_us",
                             Members()
                                 .number("value", median(latencies), 3)
                                 .text("source", "operator tables: DeepEP inside a node, the median machine")
                                 .text("data", std::to_string(latencies.size()) + " machines")
                                 .text("date", tables.date)
                                 .node());
  return fit;
}

}  // namespace calibration
