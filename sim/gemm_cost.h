#pragma once

#include <cstdint>

#include "hw/cluster.h"
#include "hw/efficiency.h"
#include "models/step_program.h"
#include "sim/price.h"

namespace sim {

/// t = overhead + ((flops / (factor * rate))^p + (bytes / bandwidth)^p)^(1/p): math and memory traffic overlap, the
/// more so the larger p. Source: fitted to cuBLAS tables (docs/cost_model.md, GEMM).
///   factor  of the curve's rate that is reached, > 0
hw::Seconds gemm_time(const hw::GemmCurve& curve, hw::Flops flops, hw::Bytes bytes, double factor);

/// [m, k] times [k, n].
struct GemmShape {
  std::int64_t m, n, k;
};

/// FLOPs that tiles cost over the FLOPs that the result needs: curve.padding of the rows and columns that tiles of 128
/// add, curve.wave of the SMs that the last wave of the best of the tiles 256 x 128, 128 x 256, 128 x 128 leaves idle.
/// Nothing has no tiles: 1.
double tile_stretch(const hw::GemmCurve& curve, std::int64_t m, std::int64_t n);

/// The above with FLOPs stretched to whole tiles, times the curve's grid at the shape: what a table measured at shapes
/// around it over the smooth curve (docs/cost_model.md, GEMM). Precondition: m, n, k >= 1.
hw::Seconds gemm_time(const hw::GemmCurve& curve, GemmShape shape, hw::Flops flops, hw::Bytes bytes, double factor);

/// One GEMM at the curve of its operands' format, its role's rate and the sustained clock. Its origin is `interpolated`
/// within the grid of a curve that was fitted to this GPU's table.
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
