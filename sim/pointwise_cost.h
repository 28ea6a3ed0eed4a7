#pragma once

#include "hw/cluster.h"
#include "hw/efficiency.h"
#include "models/step_program.h"
#include "sim/price.h"

namespace sim {

/// Memory-bound kernel: t = overhead + passes * bytes / (fraction * HBM), the fraction by kind and pass.
///   size  bytes of the operands, read and written
Price pointwise_cost(const models::Pointwise& work, models::OpSize size, const hw::Cluster& cluster,
                     const hw::Efficiency& efficiency);

/// Bytes moved at the optimizer's share of HBM, plus FLOPs (Muon) at the bf16 GEMM rate.
Price optimizer_cost(models::OpSize size, const hw::Cluster& cluster, const hw::Efficiency& efficiency);

/// Payload over the CPU link at its achieved share.
Price host_copy_cost(hw::Bytes payload, const hw::Cluster& cluster, const hw::Efficiency& efficiency);

}  // namespace sim
