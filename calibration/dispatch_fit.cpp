#include "calibration/dispatch_fit.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "calibration/robust_fit.h"
#include "calibration/statistics.h"
#include "models/routing.h"

namespace calibration {
namespace {

constexpr double kOrdinaryMiss = 0.1;
constexpr double kDispatchBytes = 1 + 4.0 / 128, kCombineBytes = 2;  // an element: fp8 with fp32 scales of 128, bf16

/// Bytes that one rank sends over each link.
struct Transfer {
  double nvlink, nic, time;
  bool held_out;
};

struct Exchange {
  double tokens, hidden, topk, experts, ranks, nodes;

  /// Of `places` equal shares of the experts, how many a token's experts lie in, on average.
  double places_hit(double places) const {
    const models::MoeSpec spec{.experts = static_cast<int>(experts), .top_k = static_cast<int>(topk)};
    return models::distinct_buckets(spec, static_cast<int>(places), models::Routing::balanced_random);
  }

  Transfer with(double bytes_per_element, double time, bool held_out) const {
    const double copy = hidden * bytes_per_element, neighbours = ranks / nodes;
    return {.nvlink = tokens * places_hit(ranks) * (1 - 1 / neighbours) * copy,
            .nic = tokens * places_hit(nodes) * (1 - 1 / nodes) * copy,
            .time = time,
            .held_out = held_out};
  }
};

using Key = std::tuple<std::string, std::string, bool>;  ///< machine, kernel, across nodes
using Transfers = std::map<Key, std::vector<Transfer>>;

Exchange read_exchange(const CsvRow& row, CsvTable& t, double nodes) {
  const auto size = [&](const char* name) { return static_cast<double>(row.positive_int(*t.find(name))); };
  const Exchange e{size("tokens_per_rank"), size("hidden"), size("topk"), size("num_experts"), size("ep_size"), nodes};
  if (e.topk > e.experts) row.fail(*t.find("topk"), "must be at most num_experts");
  if (e.ranks > e.experts) row.fail(*t.find("ep_size"), "must be at most num_experts");
  if (e.nodes > e.ranks) row.fail(*t.find("ep_size"), "must be at least nodes");
  return e;
}

bool held_out(const Exchange& e) {
  const auto whole = [](double value) { return static_cast<long long>(value); };
  return is_held_out({whole(e.tokens), whole(e.hidden), whole(e.topk), whole(e.ranks)});
}

constexpr std::size_t kFewest = 8;     // rows that latency and bandwidth are fitted to
constexpr double kFewestTokens = 128;  // a rank, below which training does not go

std::vector<std::string> read_deepep(const OperatorTables& tables, Transfers& transfers) {
  return read_table(tables, "deepep_normal", [&](CsvTable& t) {
    for (const char* name : {"tokens_per_rank", "hidden", "topk", "num_experts", "ep_size"}) t.column(name);
    const std::size_t nodes = t.column("nodes"), sms = t.column("dispatch_sms"), dispatch = t.column("dispatch_us"),
                      dispatch_notify = t.column("dispatch_notify_us"), combine = t.column("combine_us"),
                      combine_notify = t.column("combine_notify_us");
    return [=, &t, &transfers](const CsvRow& row, const std::string& system, Unused& unused) {
      constexpr std::int64_t kUsualSms = 20;  // DeepEP's default
      if (row.positive_int(sms) < kUsualSms) return unused.count("on fewer than 20 SMs");
      const Exchange exchange = read_exchange(row, t, static_cast<double>(row.positive_int(nodes)));
      if (exchange.tokens < kFewestTokens) return unused.count("of fewer than 128 tokens a rank");
      auto& kind = transfers[{system, "DeepEP", exchange.nodes > 1}];
      const auto add = [&](double bytes, std::size_t time, std::size_t notify) {
        const double us = row.positive(time) + row.non_negative_if_stated(notify).value_or(0);
        kind.push_back(exchange.with(bytes, us * 1e-6, held_out(exchange)));
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
      const Exchange exchange = read_exchange(row, t, 1);
      if (exchange.tokens < kFewestTokens) return unused.count("of fewer than 128 tokens a rank");
      transfers[{system, std::string(row.text(kernel)), false}].push_back(
          exchange.with(kCombineBytes, row.positive(time) * 1e-6, held_out(exchange)));
    };
  });
}

/// Both links at once: the longer, and a share of the shorter.
struct Links {
  double latency, nvlink, nic, nic_latency, exposed;

  double time(const Transfer& t) const {
    const double inside = t.nvlink / nvlink, across = t.nic / nic;
    if (t.nic <= 0) return latency + inside;
    return latency + 2 * nic_latency + std::max(inside, across) + exposed * std::min(inside, across);
  }
};

/// Latency and one bandwidth, NVLink's inside a node and the NIC's across nodes.
Links fit_links(const std::vector<Transfer>& transfers, const Links& first, bool across) {
  std::vector<Transfer> fitted;
  std::copy_if(transfers.begin(), transfers.end(), std::back_inserter(fitted),
               [](const auto& t) { return !t.held_out; });
  const auto links_of = [&](const std::vector<double>& p) {
    Links links = first;
    links.latency = std::exp(p[0]);
    (across ? links.nic : links.nvlink) = std::exp(p[1]);
    return links;
  };
  const double bandwidth = across ? first.nic : first.nvlink;
  const std::vector<Bounded> bounds{{std::log(3e-5), std::log(1e-6), std::log(3e-4)},
                                    {std::log(bandwidth / 2), std::log(bandwidth / 50), std::log(bandwidth)}};
  return links_of(robust_fit(bounds, fitted.size(), [&](const std::vector<double>& p, std::vector<double>& r) {
    const Links links = links_of(p);
    for (std::size_t i = 0; i < fitted.size(); ++i)
      r[i] = std::log(links.time(fitted[i]) / fitted[i].time) / kOrdinaryMiss;
  }));
}

FittedCurve report_of(const std::vector<Transfer>& transfers, const Links& links) {
  std::vector<double> in_sample, out;
  for (const Transfer& t : transfers) (t.held_out ? out : in_sample).push_back(links.time(t) / t.time - 1);
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
  const hw::Node scalars = prior.at("shared").at("scalars");
  const double nic_latency = scalars.at("nic_latency_us").at("value").number() * 1e-6;
  const double exposed = scalars.at("hierarchy_exposed").at("value").number();
  std::map<std::string, double> nvlink;  // bytes per second, by machine; sorted after: inside a node comes first
  std::vector<double> latencies;
  for (const auto& [key, rows] : transfers) {
    const auto& [system, kernel, across] = key;
    if (rows.size() < kFewest) {
      fit.notes.push_back("dispatch of " + kernel + " on " + system + ": too few rows to fit (" +
                          std::to_string(rows.size()) + ")");
      continue;
    }
    const hw::Cluster& machine = *tables.machine(system);
    Links first{0, machine.nvlink.value, machine.nic.value, nic_latency, exposed};
    if (across && nvlink.contains(system)) first.nvlink = nvlink[system];
    const Links links = fit_links(rows, first, across);
    FittedCurve report = report_of(rows, links);
    report.system = system;
    report.kind = kernel + (across ? " across nodes" : " in one domain");
    const double share = across ? links.nic / machine.nic.value : links.nvlink / machine.nvlink.value;
    report.selection =
        rounded(share, 3) + (across ? " of the NIC, " : " of NVLink, ") + rounded(links.latency * 1e6, 3) + " us";
    fit.curves.push_back(report);
    // On Blackwell, training runs HybridEP, which has no such table.
    if (kernel != "DeepEP" || machine.gpu.architecture != "sm_90") continue;
    if (across) {
      fit.scalars.emplace_back("/shared/scalars/dispatch_nic_fraction",
                               scalar(share, report, "DeepEP on " + system + " across nodes", tables.date));
      continue;
    }
    nvlink[system] = links.nvlink;
    latencies.push_back(links.latency * 1e6);
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
