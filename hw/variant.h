#pragma once

#include "hw/cluster.h"
#include "hw/efficiency.h"

/// A run may describe a machine in place under the name of one that comes with stepcast, with other figures.
namespace hw {

/// The rates that curves are scaled by, and the architecture, are the same.
bool same_rates(const Cluster& a, const Cluster& b);

/// What `fitted`, the efficiency of `from`, becomes on a machine of the same architecture with other rates: it achieves
/// the same share of each. GEMMs scale with the peak of their format and memory bandwidth, attention and scans with the
/// bf16 peak, collectives inside a domain with NVLink; latencies and overheads stay. What changed is
/// Origin::interpolated, unless it rested on less.
Efficiency scaled_to(const Cluster& to, const Cluster& from, Efficiency fitted);

}  // namespace hw
