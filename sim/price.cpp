#include "sim/price.h"

#include <algorithm>

namespace sim {

hw::Seconds roofline(const hw::Gpu& gpu, hw::DType type, hw::Flops flops, hw::Bytes bytes) {
  const auto peak_of = [&gpu](hw::DType dtype) { return gpu.peak[static_cast<std::size_t>(dtype)]; };
  hw::FlopsPerSecond peak = peak_of(type);
  if (peak.value == 0) peak = peak_of(hw::DType::bf16);
  if (peak.value == 0) peak = peak_of(hw::DType::fp32);
  return std::max(flops / peak, bytes / gpu.memory_bandwidth);
}

}  // namespace sim
