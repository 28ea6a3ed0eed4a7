#include "hw/machine_figure.h"

namespace hw {
namespace {

constexpr MachineFigure kMachineFigures[] = {
    {"flops.fp64", "TFLOP/s", {"gpu", "peak_dense_TFLOPS", "fp64"}},
    {"flops.fp32", "TFLOP/s", {"gpu", "peak_dense_TFLOPS", "fp32"}},
    {"flops.tf32", "TFLOP/s", {"gpu", "peak_dense_TFLOPS", "tf32"}},
    {"flops.bf16", "TFLOP/s", {"gpu", "peak_dense_TFLOPS", "bf16"}},
    {"flops.fp16", "TFLOP/s", {"gpu", "peak_dense_TFLOPS", "fp16"}},
    {"flops.fp8", "TFLOP/s", {"gpu", "peak_dense_TFLOPS", "fp8"}},
    {"flops.fp4", "TFLOP/s", {"gpu", "peak_dense_TFLOPS", "fp4"}},
    {"sms", "SMs", {"gpu", "sm_count"}},
    {"hbm", "TB/s", {"gpu", "memory_bandwidth_TBps"}},
    {"memory", "GiB", {"gpu", "memory_GiB"}},
    {"memory", "GiB", {"gpu", "memory_bytes"}, kGiB},
    {"host_link", "GB/s", {"gpu", "host_link_GBps"}},
    {"gpus_per_node", "GPUs", {"gpus_per_node"}},
    {"nvlink_domain", "GPUs", {"nvlink_domain"}},
    {"nvlink", "GB/s", {"nvlink_GBps"}},
    {"nic", "Gb/s", {"nic_Gbps"}},
    {"oversubscription", "to 1", {"oversubscription"}},
};

double in_us(Seconds time) { return 1e6 * time.value; }

void scale_nvlink_latency(Efficiency& efficiency, double factor) {
  for (CollectiveCurves* curves : {&efficiency.nvlink_two, &efficiency.nvlink_four, &efficiency.nvlink})
    for (CollectiveCurve& curve : *curves) curve.latency = factor * curve.latency;
}

constexpr ProfileFigure kProfileFigures[] = {
    {"nvlink_latency", "us", [](const Efficiency& e) { return in_us(e.nvlink.front().latency); }, scale_nvlink_latency},
    {"nic_latency", "us", [](const Efficiency& e) { return in_us(e.nic_latency); },
     [](Efficiency& e, double factor) { e.nic_latency = factor * e.nic_latency; }},
    {"send_latency", "us", [](const Efficiency& e) { return in_us(e.send_latency); },
     [](Efficiency& e, double factor) { e.send_latency = factor * e.send_latency; }},
    {"dispatch_latency", "us", [](const Efficiency& e) { return in_us(e.dispatch_latency); },
     [](Efficiency& e, double factor) { e.dispatch_latency = factor * e.dispatch_latency; }},
    {"host_time", "x the stack's", [](const Efficiency& e) { return e.host_op_factor; },
     [](Efficiency& e, double factor) { e.host_op_factor *= factor; }},
};

/// The figure's fact; nothing where a key on the way is not there.
std::optional<Node> fact_of(const MachineFigure& figure, const Node& machine) {
  std::optional<Node> node = machine;
  for (const std::string_view key : figure.path)
    if (node && !key.empty()) node = node->find(key);
  return node;
}

}  // namespace

std::span<const MachineFigure> machine_figures() { return kMachineFigures; }
std::span<const ProfileFigure> profile_figures() { return kProfileFigures; }

std::string pointer_of(const MachineFigure& figure) {
  std::string pointer;
  for (const std::string_view key : figure.path)
    if (!key.empty()) pointer += "/" + std::string(key);
  return pointer + "/value";
}

std::optional<double> stated(const MachineFigure& figure, const Node& machine) {
  const auto fact = fact_of(figure, machine);
  if (!fact) return std::nullopt;
  return fact->at("value").number() / figure.in_unit;
}

}  // namespace hw
