#include "hw/efficiency.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "hw/variant.h"

namespace hw {
namespace {

constexpr std::size_t at(DType type) { return static_cast<std::size_t>(type); }

/// Formats that GEMM and attention curves may be given for, under their names in files.
constexpr DType kCurveTypes[] = {DType::fp32,      DType::bf16,  DType::fp16, DType::fp8,
                                 DType::fp8_block, DType::mxfp8, DType::nvfp4};

/// In the order of models::PointwiseKind.
constexpr std::string_view kPointwise[] = {"norm", "residual", "activation",   "rope",      "qk_norm",
                                           "cast", "router",   "permute",      "unpermute", "embedding",
                                           "loss", "bias",     "gradient_add", "modulate",  "gated_residual",
                                           "conv", "softmax",  "dropout",      "scale",     "other"};
/// In the order of models::CollectiveKind.
constexpr std::string_view kCollectives[] = {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast"};

/// Every curve and number of a profile says where it comes from; `source` is required, the rest describes the fit.
void check_origin(const Node& node) {
  node.at("source").text();
  if (const auto range = node.find("range")) {
    if (range->elements().size() != 2) range->fail("must be [lowest, highest]");
    for (const Node& end : range->elements()) end.number();
  }
  for (const char* key : {"data", "date", "note"})
    if (const auto text = node.find(key)) text->text();
  for (const char* key : {"median_error", "p90_error", "max_error"})
    if (const auto error = node.find(key)) error->non_negative();
  for (const char* key : {"points", "held_out"})
    if (const auto count = node.find(key)) count->non_negative_int();
}

double non_negative_or(const Node& node, const char* key, double otherwise) {
  const auto stated = node.find(key);
  return stated ? stated->non_negative() : otherwise;
}

Origin parse_origin(const Node& node) {
  return static_cast<Origin>(node.at("origin").choice({"measured", "interpolated", "curve", "runs", "roofline"}));
}

/// `953 1020 ...`: ratios in thousandths, `fewest` to `most` of them. One text is read faster than many numbers.
/// Returns how many.
std::size_t parse_thousandths(const Node& node, std::size_t fewest, std::size_t most, float* ratios) {
  const std::string line = node.text();
  const char *at = line.data(), *const end = at + line.size();
  std::size_t count = 0;
  for (; count < most && at != end; ++count) {
    int thousandths = 0;
    const auto [next, error] = std::from_chars(at, end, thousandths);
    if (error != std::errc() || thousandths <= 0) break;
    ratios[count] = static_cast<float>(thousandths) / 1000;
    at = next != end && *next == ' ' ? next + 1 : next;
  }
  if (at != end || count < fewest)
    node.fail("must be " + (fewest == most ? "" : std::to_string(fewest) + " to ") + std::to_string(most) +
              " positive integers, thousandths, with a space between");
  return count;
}

/// A line for each octave of m and n, n the faster.
std::shared_ptr<const GemmGrid> parse_gemm_grid(const Node& node) {
  const std::vector<Node> lines = node.elements();
  constexpr std::size_t kLines = GemmGrid::kPoints / GemmGrid::kDepth;
  if (lines.size() != kLines) node.fail("must have " + std::to_string(kLines) + " lines (8 octaves of m, 9 of n)");
  auto grid = std::make_shared<GemmGrid>();
  constexpr std::size_t kDepth = GemmGrid::kDepth;
  for (std::size_t i = 0; i < kLines; ++i) parse_thousandths(lines[i], kDepth, kDepth, grid->ratio.data() + i * kDepth);
  return grid;
}

GemmCurve parse_gemm_curve(const Node& node, const Gpu& gpu) {
  node.only({"rate_TFLOPS", "bandwidth_TBps", "overhead_us", "exponent", "padding", "wave", "grid", "origin", "source",
             "data", "date", "note", "range", "points", "held_out", "median_error", "p90_error", "max_error"});
  check_origin(node);
  const auto grid = node.find("grid");
  return {.rate = {node.at("rate_TFLOPS").positive() * 1e12},
          .bandwidth = {node.at("bandwidth_TBps").positive() * 1e12},
          .overhead = microseconds(node.at("overhead_us").non_negative()),
          .exponent = node.at("exponent").positive(),
          .origin = parse_origin(node),
          .padding = non_negative_or(node, "padding", 0),
          .wave = non_negative_or(node, "wave", 0),
          .sm_count = gpu.sm_count,
          .grid = grid ? parse_gemm_grid(*grid) : nullptr};
}

AttentionCurve parse_attention_curve(const Node& node) {
  node.only({"rate_TFLOPS", "ramp_tokens", "droop", "wave", "tile", "origin", "source", "data", "date", "note", "range",
             "points", "held_out", "median_error", "p90_error", "max_error"});
  check_origin(node);
  AttentionCurve curve{.rate = {node.at("rate_TFLOPS").positive() * 1e12},
                       .ramp = node.at("ramp_tokens").non_negative(),
                       .origin = parse_origin(node),
                       .droop = non_negative_or(node, "droop", 0),
                       .wave = non_negative_or(node, "wave", 0)};
  if (const auto tile = node.find("tile")) curve.tile = tile->positive_int();
  return curve;
}

AttentionCurves parse_attention_curves(const Node& node) {
  node.only({"causal_forward", "causal_backward", "full_forward", "full_backward", "mla_forward", "mla_backward",
             "mla_full_forward", "mla_full_backward"});
  // Profiles that do not tell the two apart have the full mask's curve for all head dims.
  const auto either = [&node](const char* key, const char* otherwise) {
    const auto stated = node.find(key);
    return parse_attention_curve(stated ? *stated : node.at(otherwise));
  };
  return {.causal_forward = parse_attention_curve(node.at("causal_forward")),
          .causal_backward = parse_attention_curve(node.at("causal_backward")),
          .full_forward = parse_attention_curve(node.at("full_forward")),
          .full_backward = parse_attention_curve(node.at("full_backward")),
          .mla_forward = parse_attention_curve(node.at("mla_forward")),
          .mla_backward = parse_attention_curve(node.at("mla_backward")),
          .mla_full_forward = either("mla_full_forward", "full_forward"),
          .mla_full_backward = either("mla_full_backward", "full_backward")};
}

SizeRatios parse_size_ratios(const Node& node, Bytes first) {
  SizeRatios result{.first = first};
  result.count = parse_thousandths(node, 2, SizeRatios::kMost, result.ratio.data());
  return result;
}

CollectiveCurve parse_collective_curve(const Node& node) {
  node.only({"latency_us", "bandwidth_GBps", "slope_ns", "ratios", "ratios_from_bytes", "origin", "source", "data",
             "date", "note", "range", "points", "held_out", "median_error", "p90_error", "max_error"});
  check_origin(node);
  const auto ratios = node.find("ratios");
  return {.latency = microseconds(node.at("latency_us").non_negative()),
          .bandwidth = {node.at("bandwidth_GBps").positive() * 1e9},
          .slope = node.at("slope_ns").non_negative() * 1e-9,
          .origin = parse_origin(node),
          .ratios = ratios ? parse_size_ratios(*ratios, Bytes{node.at("ratios_from_bytes").positive()}) : SizeRatios{}};
}

AttentionCurve scaled(AttentionCurve curve, double factor, Origin origin) {
  curve.rate = factor * curve.rate;
  curve.origin = origin;
  return curve;
}

AttentionCurves scaled(const AttentionCurves& c, double factor, Origin origin) {
  return {scaled(c.causal_forward, factor, origin),   scaled(c.causal_backward, factor, origin),
          scaled(c.full_forward, factor, origin),     scaled(c.full_backward, factor, origin),
          scaled(c.mla_forward, factor, origin),      scaled(c.mla_backward, factor, origin),
          scaled(c.mla_full_forward, factor, origin), scaled(c.mla_full_backward, factor, origin)};
}

/// Reads curves of one device, and fills what is missing from `generic`.
class Reader {
 public:
  Reader(const Node& profile, const Cluster& cluster) : cluster_(cluster), generic_(profile.at("generic")) {
    generic_.only({"gemm", "attention", "flash2", "collectives"});
    const Node devices = profile.at("devices");
    devices.keys();
    if (!cluster.variant_of) device_ = devices.find(cluster.name);
    if (device_) device_->only({"gemm", "attention", "flash2", "collectives", "scalars", "pointwise"});
  }

  void gemm(Efficiency& result) const;
  void attention(Efficiency& result) const;
  void collectives(Efficiency& result) const;
  std::optional<Node> section(std::string_view name) const { return device_ ? device_->find(name) : std::nullopt; }

 private:
  std::optional<Node> generic_fractions(std::string_view name) const {
    const Node node = generic_.at(name);
    check_origin(node);
    return node;
  }
  AttentionCurves generic_attention(std::string_view name, FlopsPerSecond peak) const;

  const Cluster& cluster_;
  Node generic_;
  std::optional<Node> device_;
};

void only_curve_types(const Node& node) { node.only({"fp32", "bf16", "fp16", "fp8", "fp8-block", "mxfp8", "nvfp4"}); }

void Reader::gemm(Efficiency& result) const {
  const Node fractions = *generic_fractions("gemm");
  fractions.only({"rate", "bandwidth", "overhead_us", "exponent", "source", "note"});
  const GemmCurve per_peak{.rate = {0},
                           .bandwidth = fractions.at("bandwidth").fraction() * cluster_.gpu.memory_bandwidth,
                           .overhead = microseconds(fractions.at("overhead_us").non_negative()),
                           .exponent = fractions.at("exponent").positive()};
  const double rate = fractions.at("rate").fraction();
  const auto own = section("gemm");
  if (own) only_curve_types(*own);
  std::array<bool, kDTypes> known{};
  for (const DType type : kCurveTypes) {
    const auto stated = own ? own->find(name(type)) : std::nullopt;
    if (!stated) continue;
    if (cluster_.gpu.peak[at(type)].value == 0) stated->fail("the datasheet gives this GPU no such format");
    result.gemm[at(type)] = parse_gemm_curve(*stated, cluster_.gpu);
    known[at(type)] = true;
  }
  const FlopsPerSecond bf16_peak = peak_of(cluster_.gpu, DType::bf16);
  for (std::size_t i = 0; i < kDTypes; ++i) {
    if (known[i]) continue;
    const FlopsPerSecond peak = peak_of(cluster_.gpu, static_cast<DType>(i));
    GemmCurve& curve = result.gemm[i];
    curve = known[at(DType::bf16)] ? result.gemm[at(DType::bf16)] : per_peak;
    curve.rate = known[at(DType::bf16)] ? (peak / bf16_peak) * curve.rate : rate * peak;
    curve.origin = i == at(DType::fp16) && known[at(DType::bf16)] ? Origin::interpolated : Origin::roofline;
  }
}

AttentionCurves Reader::generic_attention(std::string_view name, FlopsPerSecond peak) const {
  const Node node = *generic_fractions(name);
  node.only({"forward", "backward", "ramp_causal", "ramp_full", "source", "note"});
  const FlopsPerSecond forward = node.at("forward").fraction() * peak, backward = node.at("backward").fraction() * peak;
  const double causal = node.at("ramp_causal").non_negative(), full = node.at("ramp_full").non_negative();
  const AttentionCurve f{forward, causal, Origin::roofline}, b{backward, causal, Origin::roofline};
  const AttentionCurve full_f{forward, full, Origin::roofline}, full_b{backward, full, Origin::roofline};
  return {f, b, full_f, full_b, f, b, full_f, full_b};
}

void Reader::attention(Efficiency& result) const {
  const FlopsPerSecond bf16_peak = peak_of(cluster_.gpu, DType::bf16);
  const AttentionCurves fallback = generic_attention("attention", bf16_peak);
  const auto own = section("attention");
  if (own) only_curve_types(*own);
  std::array<bool, kDTypes> known{};
  for (const DType type : kCurveTypes) {
    const auto stated = own ? own->find(name(type)) : std::nullopt;
    if (!stated) continue;
    result.attention[at(type)] = parse_attention_curves(*stated);
    known[at(type)] = true;
  }
  const bool has_bf16 = known[at(DType::bf16)];
  if (!has_bf16) result.attention[at(DType::bf16)] = fallback;
  const AttentionCurves& bf16 = result.attention[at(DType::bf16)];
  for (std::size_t i = 0; i < kDTypes; ++i) {
    if (known[i] || i == at(DType::bf16)) continue;
    // Quantised formats without a kernel of their own run the bf16 one; fp32 runs at its own peak.
    const double factor = std::min(1.0, peak_of(cluster_.gpu, static_cast<DType>(i)) / bf16_peak);
    const bool same = i == at(DType::fp16) && has_bf16;
    result.attention[i] = scaled(bf16, factor, same ? Origin::interpolated : Origin::roofline);
  }
  const auto flash2 = section("flash2");
  result.flash2 = flash2 ? parse_attention_curves(*flash2) : generic_attention("flash2", bf16_peak);
}

void Reader::collectives(Efficiency& result) const {
  const Node fractions = *generic_fractions("collectives");
  fractions.only({"bandwidth", "two_ranks", "latency_us", "slope_ns", "source", "note"});
  const double two_ranks = fractions.at("two_ranks").fraction();
  const CollectiveCurve generic{.latency = microseconds(fractions.at("latency_us").non_negative()),
                                .bandwidth = fractions.at("bandwidth").fraction() * cluster_.nvlink,
                                .slope = fractions.at("slope_ns").non_negative() * 1e-9,
                                .ratios = {}};
  CollectiveCurve generic_pair = generic;
  generic_pair.bandwidth = two_ranks * generic.bandwidth;

  const auto own = section("collectives");
  if (own) own->only({"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast"});
  for (std::size_t kind = 0; kind < result.nvlink.size(); ++kind) {
    const auto stated = own ? own->find(kCollectives[kind]) : std::nullopt;
    if (!stated) {
      result.nvlink[kind] = result.nvlink_four[kind] = generic;
      result.nvlink_two[kind] = generic_pair;
      continue;
    }
    stated->only({"2", "4", "8"});
    result.nvlink_two[kind] = parse_collective_curve(stated->at("2"));
    result.nvlink_four[kind] = parse_collective_curve(stated->at("4"));
    result.nvlink[kind] = parse_collective_curve(stated->at("8"));
  }
}

/// Single numbers: the device's own where it has them, else the shared ones.
class Scalars {
 public:
  Scalars(const Node& shared, const std::optional<Node>& own) : shared_(shared), own_(own) {
    check(shared_);
    if (own_) check(*own_);
  }

  Node value(std::string_view key) const {
    const Node fact = own_ && own_->has(key) ? own_->at(key) : shared_.at(key);
    fact.only({"value", "source", "data", "date", "note", "range"});
    check_origin(fact);
    return fact.at("value");
  }
  double positive(std::string_view key) const { return value(key).positive(); }
  double fraction(std::string_view key) const { return value(key).fraction(); }
  Seconds us(std::string_view key) const { return microseconds(value(key).non_negative()); }
  /// A share of the SMs: below 1, so that a slowdown stays finite.
  double share(std::string_view key) const {
    const Node node = value(key);
    if (node.non_negative() >= 1) node.fail("must be below 1");
    return node.number();
  }

 private:
  static void check(const Node& node) {
    node.only({"attention_overhead_us",
               "head64_forward",
               "head64_backward",
               "sustained",
               "input_grad_rate",
               "weight_grad_rate",
               "grouped_rate",
               "fused_grouped_rate",
               "grouped_extra_rows",
               "grouped_overhead",
               "grouped_quantised_rate",
               "gmm_rate",
               "torch_grouped_rate",
               "loop_rate",
               "window_rate",
               "window_extra_keys",
               "flex_rate",
               "pointwise_overhead_us",
               "row_overhead_bytes",
               "unfused_softmax",
               "scan_rate_TFLOPS",
               "scan_bandwidth",
               "optimizer_bandwidth",
               "kernel_gap_us",
               "hierarchy_exposed",
               "nic_fraction",
               "nic_latency_us",
               "dispatch_nvlink_fraction",
               "dispatch_nic_fraction",
               "dispatch_latency_us",
               "all_to_all_time",
               "send_latency_us",
               "send_fraction",
               "nvlink_sm_share",
               "nic_sm_share",
               "host_link_fraction",
               "grace_host_factor",
               "launch_host_factor",
               "dtensor_host_factor",
               "host_op_factor",
               "fused_attention_rate",
               "flash2_rate",
               "nvlink_rate",
               "moe_host_factor",
               "triton_rate",
               "merged_host_factor",
               "graph_launch_us",
               "sync_us",
               "step_constant_us",
               "straggler_slope"});
  }

  Node shared_;
  std::optional<Node> own_;
};

void read_device_scalars(const Scalars& in, Efficiency& out) {
  out.attention_overhead = in.us("attention_overhead_us");
  out.head64_forward = in.fraction("head64_forward");
  out.head64_backward = in.fraction("head64_backward");
  out.sustained = in.positive("sustained");
  out.input_grad_rate = in.positive("input_grad_rate");
  out.weight_grad_rate = in.positive("weight_grad_rate");
  out.grouped_rate = in.positive("grouped_rate");
  out.fused_grouped_rate = in.positive("fused_grouped_rate");
  out.grouped_extra_rows = in.value("grouped_extra_rows").non_negative();
  out.grouped_overhead = in.value("grouped_overhead").non_negative();
  out.gmm_rate = in.positive("gmm_rate");
  out.torch_grouped_rate = in.positive("torch_grouped_rate");
  out.grouped_quantised_rate = in.positive("grouped_quantised_rate");
  out.loop_rate = in.positive("loop_rate");
  out.window_rate = in.fraction("window_rate");
  out.window_extra_keys = in.value("window_extra_keys").non_negative();
  out.fused_attention_rate = in.positive("fused_attention_rate");
  out.flash2_rate = in.positive("flash2_rate");
  out.flex_rate = in.positive("flex_rate");
  out.triton_rate = in.positive("triton_rate");
  out.row_overhead = {in.value("row_overhead_bytes").non_negative()};
  out.pointwise_overhead = in.us("pointwise_overhead_us");
  out.unfused_softmax = in.fraction("unfused_softmax");
  out.scan_rate = {in.positive("scan_rate_TFLOPS") * 1e12};
  out.scan_bandwidth = in.fraction("scan_bandwidth");
  out.optimizer_bandwidth = in.fraction("optimizer_bandwidth");
  out.kernel_gap = in.us("kernel_gap_us");
}

void read_link_scalars(const Scalars& in, Efficiency& out) {
  out.hierarchy_exposed = in.share("hierarchy_exposed");
  out.nvlink_rate = in.positive("nvlink_rate");
  out.nic_fraction = in.fraction("nic_fraction");
  out.nic_latency = in.us("nic_latency_us");
  out.dispatch_nic_fraction = in.fraction("dispatch_nic_fraction");
  out.dispatch_latency = in.us("dispatch_latency_us");
  out.all_to_all_time = in.positive("all_to_all_time");
  out.send_latency = in.us("send_latency_us");
  out.send_fraction = in.fraction("send_fraction");
  out.nvlink_sm_share = in.share("nvlink_sm_share");
  out.nic_sm_share = in.share("nic_sm_share");
  out.host_link_fraction = in.fraction("host_link_fraction");
}

void read_host_scalars(const Scalars& in, Efficiency& out) {
  out.grace_host_factor = in.positive("grace_host_factor");
  out.launch_host_factor = in.positive("launch_host_factor");
  out.dtensor_host_factor = in.positive("dtensor_host_factor");
  out.host_op_factor = in.positive("host_op_factor");
  out.moe_host_factor = in.positive("moe_host_factor");
  out.merged_host_factor = in.positive("merged_host_factor");
  out.graph_launch = in.us("graph_launch_us");
  out.sync = in.us("sync_us");
  out.step_constant = in.us("step_constant_us");
  out.straggler_slope = in.value("straggler_slope").non_negative();
}

std::array<double, 20> read_pointwise_pass(const Node& node) {
  node.only({"norm",           "residual",  "activation", "rope",    "qk_norm", "cast",         "router",
             "permute",        "unpermute", "embedding",  "loss",    "bias",    "gradient_add", "modulate",
             "gated_residual", "conv",      "softmax",    "dropout", "scale",   "other"});
  std::array<double, 20> result{};
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = node.at(kPointwise[i]).fraction();
  return result;
}

void read_pointwise(const Node& node, Efficiency& out) {
  node.only({"forward", "backward", "origin", "source", "data", "date", "note", "range"});
  check_origin(node);
  out.pointwise_forward = read_pointwise_pass(node.at("forward"));
  out.pointwise_backward = read_pointwise_pass(node.at("backward"));
  out.pointwise_origin = parse_origin(node);
}

double read_factor(const Node& node) {
  node.only({"value", "source", "data", "date", "note", "range"});
  check_origin(node);
  return node.at("value").positive();
}

void read_stacks(const Node& node, Efficiency& out) {
  for (const std::string& stack : node.keys()) {
    const Node own = node.at(stack);
    own.only({"pointwise", "host"});
    out.stacks.push_back({stack, read_factor(own.at("pointwise")), read_factor(own.at("host"))});
  }
}

}  // namespace

Efficiency parse_efficiency(const Node& profile, const Cluster& cluster) {
  if (const Cluster* known = cluster.variant_of.get(); known && known->gpu.architecture == cluster.gpu.architecture)
    return scaled_to(cluster, *known, parse_efficiency(profile, *known));
  profile.only({"profile", "date", "remarks", "shared", "generic", "devices", "stacks", "intervals"});
  Efficiency result;
  result.profile = profile.at("profile").text();
  result.date = profile.at("date").text();
  for (const Node& remark : profile.at("remarks").elements()) remark.text();
  const Reader reader(profile, cluster);
  reader.gemm(result);
  reader.attention(result);
  reader.collectives(result);

  const Node shared = profile.at("shared");
  shared.only({"scalars", "pointwise"});
  const Scalars scalars(shared.at("scalars"), reader.section("scalars"));
  read_device_scalars(scalars, result);
  read_link_scalars(scalars, result);
  read_host_scalars(scalars, result);
  result.dispatch_nvlink = scalars.fraction("dispatch_nvlink_fraction") * cluster.nvlink;
  const auto own = reader.section("pointwise");
  read_pointwise(own ? *own : shared.at("pointwise"), result);
  read_stacks(profile.at("stacks"), result);
  result.intervals = std::make_shared<const Intervals>(parse_intervals(profile.at("intervals")));
  return result;
}

Efficiency on_stack(const Efficiency& efficiency, std::string_view stack) {
  Efficiency result = efficiency;
  const auto known = std::find_if(result.stacks.begin(), result.stacks.end(),
                                  [&](const StackEfficiency& entry) { return entry.stack == stack; });
  if (known == result.stacks.end()) return result;
  for (auto* fractions : {&result.pointwise_forward, &result.pointwise_backward})
    for (double& fraction : *fractions) fraction = std::min(1.0, known->pointwise * fraction);
  result.host_op_factor *= known->host;
  return result;
}

}  // namespace hw
