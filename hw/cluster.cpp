#include "hw/cluster.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <system_error>

namespace hw {
namespace {

/// The value of a fact `{"value": ..., "source": "...", "note": "..."}`: no datasheet figure without its source.
Node value_of(const Node& fact) {
  if (!fact.is_object()) fact.fail("must be an object with value and source");
  fact.only({"value", "source", "note"});
  fact.at("source").text();
  if (const auto note = fact.find("note")) note->text();
  return fact.at("value");
}

Node fact(const Node& node, std::string_view key) { return value_of(node.at(key)); }

/// A positive number of `unit`s, in base units.
double positive_in(double unit, const Node& value) {
  const double scaled = value.positive() * unit;
  if (!std::isfinite(scaled)) value.fail("is out of range");
  return scaled;
}

BytesPerSecond gigabytes_per_second(const Node& node, std::string_view key) {
  return {positive_in(1e9, fact(node, key))};
}

/// NN of `sm_NN`, with or without a suffix letter as in `sm_90a`; 0 for a CPU.
int compute_capability(const Node& architecture) {
  const std::string text = architecture.text();
  if (text == "x86_64" || text == "aarch64") return 0;
  constexpr std::string_view kPrefix = "sm_";
  int capability = 0;
  if (text.starts_with(kPrefix)) {
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + kPrefix.size(), end, capability);
    const bool has_suffix = rest != end && rest + 1 == end && (*rest == 'a' || *rest == 'f');
    if (error == std::errc() && capability > 0 && (rest == end || has_suffix)) return capability;
  }
  architecture.fail("must be a compute capability such as sm_90, or x86_64 or aarch64 for a CPU");
}

Bytes parse_memory(const Node& gpu) {
  if (gpu.has("memory_bytes") == gpu.has("memory_GiB")) gpu.fail("must have one of memory_bytes, memory_GiB");
  if (gpu.has("memory_GiB")) return {positive_in(kGiB, fact(gpu, "memory_GiB"))};
  return {static_cast<double>(fact(gpu, "memory_bytes").positive_int64())};
}

/// Dense rates by format. Tensor cores took up fp8 with sm_89, block-scaled formats (mxfp8, nvfp4) with sm_100.
/// Source: NVIDIA PTX ISA 8.7, sections on mma and tcgen05.mma.
std::array<FlopsPerSecond, kDTypes> parse_peak(const Node& node, int capability) {
  node.only({"fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "fp4"});
  const auto rate = [&node, capability](std::string_view key, int known_from = 0) -> FlopsPerSecond {
    const auto stated = node.find(key);
    if (!stated) return {0};
    if (capability < known_from) value_of(*stated).fail("needs sm_" + std::to_string(known_from) + " or later");
    return {positive_in(1e12, value_of(*stated))};
  };
  const FlopsPerSecond fp32 = rate("fp32");
  const FlopsPerSecond tf32 = rate("tf32", 80);
  if (fp32.value == 0) node.at("fp32");  // every machine has it
  if (tf32.value > 0 && tf32 < fp32) fact(node, "tf32").fail("must not be slower than fp32");

  std::array<FlopsPerSecond, kDTypes> peak{};
  const auto of = [&peak](DType type) -> FlopsPerSecond& { return peak[static_cast<std::size_t>(type)]; };
  of(DType::fp64) = rate("fp64");
  of(DType::fp32) = tf32.value > 0 ? tf32 : fp32;
  of(DType::bf16) = rate("bf16");
  of(DType::fp16) = rate("fp16");
  of(DType::fp8) = of(DType::fp8_block) = rate("fp8", 89);
  if (capability >= 100) of(DType::mxfp8) = of(DType::fp8);
  of(DType::nvfp4) = rate("fp4", 100);
  return peak;
}

Gpu parse_gpu(const Node& node) {
  node.only({"name", "architecture", "sm_count", "memory_bytes", "memory_GiB", "memory_bandwidth_TBps",
             "peak_dense_TFLOPS", "host_link_GBps", "tdp_W"});
  const Node architecture = node.at("architecture");
  const int capability = compute_capability(architecture);
  return {.name = node.at("name").text(),
          .architecture = architecture.text(),
          .sm_count = fact(node, "sm_count").positive_int(),
          .memory = parse_memory(node),
          .memory_bandwidth = {positive_in(1e12, fact(node, "memory_bandwidth_TBps"))},
          .peak = parse_peak(node.at("peak_dense_TFLOPS"), capability),
          .host_link = gigabytes_per_second(node, "host_link_GBps"),
          .tdp_watts = node.has("tdp_W") ? fact(node, "tdp_W").positive() : 0};
}

int parse_nvlink_domain(const Node& node, int gpus_per_node) {
  const Node value = fact(node, "nvlink_domain");
  const int domain = value.positive_int();
  if (domain % gpus_per_node != 0) {
    value.fail("must be a multiple of gpus_per_node (" + std::to_string(gpus_per_node) + ")");
  }
  return domain;
}

double parse_oversubscription(const Node& node) {
  const Node value = fact(node, "oversubscription");
  if (value.number() < 1) value.fail("must be at least 1 (1 = full bisection bandwidth)");
  return value.number();
}

}  // namespace

FlopsPerSecond peak_of(const Gpu& gpu, DType type) {
  for (const DType candidate : {type, DType::bf16, DType::fp32}) {
    const FlopsPerSecond peak = gpu.peak[static_cast<std::size_t>(candidate)];
    if (peak.value > 0) return peak;
  }
  return {0};
}

Cluster parse_cluster(const Node& node) {
  node.only({"name", "gpu", "gpus_per_node", "nvlink_domain", "nvlink_GBps", "nic_Gbps", "rails", "oversubscription",
             "host"});
  constexpr double kBytesPerGigabit = 1e9 / 8;
  const int gpus_per_node = fact(node, "gpus_per_node").positive_int();
  return {.name = node.at("name").text(),
          .gpu = parse_gpu(node.at("gpu")),
          .gpus_per_node = gpus_per_node,
          .nvlink_domain = parse_nvlink_domain(node, gpus_per_node),
          .nvlink = gigabytes_per_second(node, "nvlink_GBps"),
          .nic = {positive_in(kBytesPerGigabit, fact(node, "nic_Gbps"))},
          .rails = fact(node, "rails").positive_int(),
          .oversubscription = parse_oversubscription(node),
          .grace = fact(node, "host").choice({"x86", "grace"}) == 1};
}

}  // namespace hw
