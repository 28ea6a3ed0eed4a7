#include "sim/gemm_cost.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace sim {
namespace {

const hw::GemmCurve& curve_of(const hw::Efficiency& efficiency, hw::DType operand) {
  return efficiency.gemm[static_cast<std::size_t>(operand)];
}

double role_rate(models::GemmRole role, const hw::Efficiency& efficiency) {
  switch (role) {
    case models::GemmRole::forward: return 1;
    case models::GemmRole::input_grad: return efficiency.input_grad_rate;
    case models::GemmRole::weight_grad: return efficiency.weight_grad_rate;
  }
  return 1;
}

/// Rows that the tiles of all groups cover, over the rows that there are.
double tile_waste(const models::GroupedGemm& work) {
  constexpr double kHalfTile = 64;  // of the usual 128 rows
  if (work.role == models::GemmRole::weight_grad || work.rows == 0) return 1;
  return 1 + kHalfTile * work.groups / static_cast<double>(work.rows);
}

constexpr std::int64_t tiles(std::int64_t size, std::int64_t tile) { return (size + tile - 1) / tile; }

/// SM time that `count` tiles of `cost` each take in whole waves.
double waves_of(std::int64_t count, double cost, int sm_count) {
  return cost * static_cast<double>((count + sm_count - 1) / sm_count * sm_count);
}

/// Of the three tiles that cuBLAS has in all releases, the one whose last wave leaves least idle: SM time over what the
/// result needs, at most 2 (beyond that the contraction is split over SMs). 128 x 128 reads more and costs a tenth more.
double wave_stretch(std::int64_t m, std::int64_t n, int sm_count) {
  constexpr std::int64_t kShort = 128, kLong = 256;
  constexpr double kBig = static_cast<double>(kShort * kLong), kSmall = 1.1 * static_cast<double>(kShort * kShort);
  const std::int64_t m_short = tiles(m, kShort), n_short = tiles(n, kShort);
  const double time = std::min({waves_of(tiles(m, kLong) * n_short, kBig, sm_count),
                                waves_of(m_short * tiles(n, kLong), kBig, sm_count),
                                waves_of(m_short * n_short, kSmall, sm_count)});
  return std::min(2.0, time / (static_cast<double>(m) * static_cast<double>(n)));
}

}  // namespace

double tile_stretch(const hw::GemmCurve& curve, std::int64_t m, std::int64_t n) {
  if (curve.padding == 0 && curve.wave == 0) return 1;
  constexpr std::int64_t kTile = 128;
  const double padded = static_cast<double>(tiles(m, kTile) * kTile) * static_cast<double>(tiles(n, kTile) * kTile);
  const double padding = padded / (static_cast<double>(m) * static_cast<double>(n)) - 1;
  return 1 + curve.padding * padding + curve.wave * (wave_stretch(m, n, curve.sm_count) - 1);
}

hw::Seconds gemm_time(const hw::GemmCurve& curve, GemmShape shape, hw::Flops flops, hw::Bytes bytes, double factor) {
  const hw::Seconds smooth = gemm_time(curve, tile_stretch(curve, shape.m, shape.n) * flops, bytes, factor);
  return curve.grid ? curve.grid->at(shape.m, shape.n, shape.k) * smooth : smooth;
}

hw::Seconds gemm_time(const hw::GemmCurve& curve, hw::Flops flops, hw::Bytes bytes, double factor) {
  const double math = flops.value / (factor * curve.rate.value), memory = bytes.value / curve.bandwidth.value;
  const double longer = std::max(math, memory), shorter = std::min(math, memory);
  if (shorter <= 1e-9 * longer) return curve.overhead + hw::Seconds{longer};
  // (a^p + b^p)^(1/p) from the ratio b/a: three transcendental calls where pow would take five.
  const double ratio = std::exp(curve.exponent * std::log(shorter / longer));
  return curve.overhead + hw::Seconds{longer * std::exp(std::log1p(ratio) / curve.exponent)};
}

Price gemm_cost(const models::Gemm& work, models::OpSize size, const hw::Cluster& cluster,
                const hw::Efficiency& efficiency) {
  const hw::GemmCurve& curve = curve_of(efficiency, work.operand);
  const double factor = efficiency.sustained * role_rate(work.role, efficiency);
  const bool between = curve.origin == hw::Origin::curve && curve.grid && curve.grid->covers(work.m, work.n, work.k);
  return {.time = gemm_time(curve, {work.m, work.n, work.k}, size.flops, size.bytes, factor),
          .ideal = roofline(cluster.gpu, work.operand, size.flops, size.bytes),
          .origin = between ? hw::Origin::interpolated : curve.origin};
}

Price grouped_gemm_cost(const models::GroupedGemm& work, models::OpSize size, const hw::Cluster& cluster,
                        const hw::Efficiency& efficiency) {
  const hw::GemmCurve& curve = curve_of(efficiency, work.operand);
  const double factor = efficiency.sustained * role_rate(work.role, efficiency);
  Price price;
  price.ideal = roofline(cluster.gpu, work.operand, size.flops, size.bytes);
  price.origin = curve.origin;
  const double waste = tile_waste(work);
  const hw::Bytes streamed = size.bytes / efficiency.grouped_bandwidth;
  switch (work.kernel) {
    case models::ExpertGemm::grouped:
      price.time = gemm_time(curve, waste * size.flops, streamed, factor * efficiency.grouped_rate);
      break;
    case models::ExpertGemm::fused_grouped:
      price.time = gemm_time(curve, waste * size.flops, streamed, factor * efficiency.fused_grouped_rate);
      break;
    case models::ExpertGemm::loop:
      price.time =
          static_cast<double>(work.groups) *
          gemm_time(curve, waste * size.flops / work.groups, size.bytes / work.groups, factor * efficiency.loop_rate);
      break;
  }
  return price;
}

}  // namespace sim
