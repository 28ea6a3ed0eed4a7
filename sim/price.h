#pragma once

#include "hw/cluster.h"
#include "hw/dtype.h"
#include "hw/efficiency.h"
#include "hw/units.h"

namespace sim {

enum class Link : unsigned char { none, nvlink, nic, host };

/// What one op takes alone on the machine.
struct Price {
  hw::Seconds time;
  hw::Seconds ideal;  ///< speed of light: the larger of FLOPs / datasheet peak and bytes / datasheet bandwidth
  hw::Origin origin = hw::Origin::roofline;
  Link link = Link::none;  ///< which link it occupies
};

/// The datasheet's time: the larger of flops / peak of `type` and bytes / HBM bandwidth. A format that the GPU lacks
/// counts at the peak of bf16, else fp32. Source: Williams et al., CACM 52(4), 2009.
hw::Seconds roofline(const hw::Gpu& gpu, hw::DType type, hw::Flops flops, hw::Bytes bytes);

}  // namespace sim
