#pragma once

#include "hw/cluster.h"
#include "hw/efficiency.h"
#include "models/step_program.h"
#include "sim/price.h"

namespace sim {

/// t = overhead + ((flops / (factor * rate))^p + (bytes / bandwidth)^p)^(1/p): math and memory traffic overlap, the
/// more so the larger p. Source: fitted to cuBLAS tables (docs/cost_model.md, GEMM), held-out error 4-7 % median.
///   factor  of the curve's rate that is reached, > 0
hw::Seconds gemm_time(const hw::GemmCurve& curve, hw::Flops flops, hw::Bytes bytes, double factor);

/// One GEMM at the curve of its operands' format, its role's rate and the sustained clock.
///   size  FLOPs and bytes of both operands and the result (twice where it accumulates)
Price gemm_cost(const models::Gemm& work, models::OpSize size, const hw::Cluster& cluster,
                const hw::Efficiency& efficiency);

/// All local experts' GEMMs. grouped, fused_grouped: one launch on the dense curve at the grouped rate; each group's
/// last tile of 128 rows is half full on average (a weight gradient contracts over the rows and has no such tile).
/// loop: one GEMM after another, each of rows / groups.
///   size  as for gemm_cost, of all groups together
Price grouped_gemm_cost(const models::GroupedGemm& work, models::OpSize size, const hw::Cluster& cluster,
                        const hw::Efficiency& efficiency);

}  // namespace sim
