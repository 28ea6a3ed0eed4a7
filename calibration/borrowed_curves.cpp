#include "calibration/borrowed_curves.h"

#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <string_view>

#include "calibration/fit_report.h"

namespace calibration {
namespace {

using Fitted = std::map<std::string, hw::Node>;
using Values = std::vector<std::pair<std::string, hw::Node>>;

/// Curves below /devices/FROM/ whose rest starts with `section` serve TO as well, `renamed` if not empty.
struct Loan {
  const char *from, *section, *to, *renamed, *note;
};

constexpr const char* kSameGpu = "the H100 curve: same GPU but for NVLink and fp64";
constexpr const char* kSameSms = "the H200 table: same SMs and clocks";
constexpr const char* kSameRate = "the fp8 curve: same tensor-core rate; no mxfp8 table is public";
constexpr const char* kScaledByGemm = "scaled by the ratio of bf16 GEMM rates";
constexpr const char* kBoard = "8 ranks of the HGX board (NVLS); no sweep beyond 4 ranks of a rack is public";

constexpr Loan kLoans[] = {
    {"h200", "attention/", "h100", "", kSameSms},
    {"h200", "attention/", "h800", "", kSameSms},
    {"gb200", "attention/", "b200", "", kScaledByGemm},
    {"gb300", "attention/", "b300", "", kScaledByGemm},
    {"h100", "gemm/bf16", "h800", "", kSameGpu},
    {"h100", "gemm/fp8", "h800", "", kSameGpu},
    {"b200", "gemm/fp8", "b200", "gemm/mxfp8", kSameRate},
    {"b300", "gemm/fp8", "b300", "gemm/mxfp8", kSameRate},
    {"gb200", "gemm/fp8", "gb200", "gemm/mxfp8", kSameRate},
    {"gb300", "gemm/fp8", "gb300", "gemm/mxfp8", kSameRate},
    {"a100-80g", "gemm/bf16", "a100-40g", "", "bandwidth scaled by HBM bandwidth"},
    {"a100-80g", "collectives/", "a100-40g", "", "the curve of A100 80 GB: same NVLink"},
    {"h100", "collectives/", "h800", "", "H100 scaled by NVLink bandwidth"},
    {"b200", "collectives/all_reduce/8", "gb200", "", kBoard},
    {"b300", "collectives/all_reduce/8", "gb300", "", kBoard},
};

/// Racks: what no table has beyond 4 ranks.
struct Rack {
  const char *name, *board;
};
constexpr Rack kRacks[] = {{"gb200", "b200"}, {"gb300", "b300"}};

class Lender {
 public:
  Lender(const Values& fitted, const hw::Node& prior, const OperatorTables& tables)
      : fitted_(fitted.begin(), fitted.end()), devices_(prior.at("devices")), tables_(tables) {}

  Values all() const {
    Values lent;
    for (const Loan& loan : kLoans) lend(loan, lent);
    for (const Rack& rack : kRacks) lend_rack(rack, lent);
    return lent;
  }

 private:
  std::optional<double> number(const std::string& pointer, const char* key) const {
    const auto found = fitted_.find(pointer);
    if (found == fitted_.end()) return std::nullopt;
    return found->second.at(key).number();
  }

  void add(const std::string& pointer, const hw::Node& curve, const std::string& note,
           std::vector<std::pair<std::string, hw::Node::Value>> changes, Values& lent) const {
    if (fitted_.contains(pointer)) return;
    changes.emplace_back("/origin", std::string("interpolated"));
    changes.emplace_back("/note", note + "; errors are of the table");
    lent.emplace_back(pointer, curve.with(changes));
  }

  /// What differs between the machines, by the family of the curve.
  std::vector<std::pair<std::string, hw::Node::Value>> scaled(const Loan& loan, const hw::Node& curve) const {
    const std::string_view section = loan.section;
    const hw::Cluster *from = tables_.machine(loan.from), *to = tables_.machine(loan.to);
    if (!from || !to) return {};
    const auto times = [&curve](const char* key, double factor) { return factor * curve.at(key).number(); };
    if (section.starts_with("attention/") && loan.note == kScaledByGemm) {
      const auto mine = number(std::string("/devices/") + loan.to + "/gemm/bf16", "rate_TFLOPS");
      const auto theirs = number(std::string("/devices/") + loan.from + "/gemm/bf16", "rate_TFLOPS");
      const double ratio = mine && theirs
                               ? *mine / *theirs
                               : hw::peak_of(to->gpu, hw::DType::bf16) / hw::peak_of(from->gpu, hw::DType::bf16);
      return {{"/rate_TFLOPS", std::round(times("rate_TFLOPS", ratio))}};
    }
    if (section.starts_with("gemm/"))
      return {{"/bandwidth_TBps", times("bandwidth_TBps", to->gpu.memory_bandwidth / from->gpu.memory_bandwidth)}};
    const double nvlink = to->nvlink / from->nvlink;
    if (section == "collectives/" && nvlink != 1)
      return {{"/bandwidth_GBps", times("bandwidth_GBps", nvlink)},
              {"/slope_ns", times("slope_ns", 1 / std::sqrt(nvlink))}};
    return {};
  }

  void lend(const Loan& loan, Values& lent) const {
    if (!devices_.has(loan.to)) return;
    const std::string from = std::string("/devices/") + loan.from + "/";
    const std::string_view section = loan.section;
    for (const auto& [pointer, curve] : fitted_) {
      if (!pointer.starts_with(from + loan.section)) continue;
      const std::string rest = pointer.substr(from.size());
      if (!section.ends_with('/') && rest != section) continue;  // gemm/fp8 is not gemm/fp8-block
      const std::string name = *loan.renamed ? loan.renamed : rest;
      add(std::string("/devices/") + loan.to + "/" + name, curve, loan.note, scaled(loan, curve), lent);
    }
  }

  /// 8 ranks and more of a rack: the curve of its 4 ranks with the latency of 8 ranks of the board.
  void lend_rack(const Rack& rack, Values& lent) const {
    for (const char* kind : {"all_gather", "reduce_scatter", "all_to_all", "broadcast"}) {
      const std::string curve = std::string("/collectives/") + kind;
      const auto four = fitted_.find(std::string("/devices/") + rack.name + curve + "/4");
      const auto latency = number(std::string("/devices/") + rack.board + curve + "/8", "latency_us");
      if (four == fitted_.end() || !latency) continue;
      add(std::string("/devices/") + rack.name + curve + "/8", four->second,
          "4 ranks of this system with the latency of 8 ranks of the HGX board; no sweep beyond 4 ranks is public",
          {{"/latency_us", *latency}}, lent);
    }
  }

  Fitted fitted_;
  hw::Node devices_;
  const OperatorTables& tables_;
};

}  // namespace

Values borrowed_curves(const Values& fitted, const hw::Node& prior, const OperatorTables& tables) {
  return Lender(fitted, prior, tables).all();
}

}  // namespace calibration
