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

double kernel_rate(models::ExpertGemm kernel, const hw::Efficiency& efficiency) {
  using models::ExpertGemm;
  switch (kernel) {
    case ExpertGemm::grouped: return efficiency.grouped_rate;
    case ExpertGemm::gmm: return efficiency.grouped_rate * efficiency.gmm_rate;
    case ExpertGemm::torch_grouped: return efficiency.grouped_rate * efficiency.torch_grouped_rate;
    case ExpertGemm::fused_grouped: return efficiency.fused_grouped_rate;
    case ExpertGemm::loop: return efficiency.loop_rate;
  }
  return 1;
}

/// Rows that the tiles of all groups cover, over the rows that there are.
double tile_waste(const models::GroupedGemm& work, const hw::Efficiency& efficiency) {
  if (work.role == models::GemmRole::weight_grad || work.rows == 0) return 1;
  return 1 + efficiency.grouped_extra_rows * work.groups / static_cast<double>(work.rows);
}

constexpr std::int64_t tiles(std::int64_t size, std::int64_t tile) { return (size + tile - 1) / tile; }

/// Rounds counts of tiles up to whole waves. Integer division would take longer than all else here.
class Waves {
 public:
  explicit Waves(int sm_count) : sm_count_(sm_count), per_tile_(1.0 / sm_count) {}
  /// Half a tile off the boundary, so that the reciprocal's rounding does not matter.
  double slots(std::int64_t count) const {
    constexpr double kHalf = 0.5;
    const double waves = (static_cast<double>(count) + sm_count_ - kHalf) * per_tile_;
    return sm_count_ * static_cast<double>(static_cast<std::int64_t>(waves));
  }

 private:
  double sm_count_, per_tile_;
};

/// Of the three tiles that cuBLAS has in all releases, the one whose last wave leaves least idle: SM time over what the
/// result needs, at most 2 (beyond that the contraction is split over SMs). 128 x 128 reads more and costs a tenth
/// more.
double wave_stretch(std::int64_t m, std::int64_t n, int sm_count, double per_element) {
  constexpr std::int64_t kShort = 128, kLong = 256;
  constexpr double kBig = static_cast<double>(kShort * kLong), kSmall = 1.1 * static_cast<double>(kShort * kShort);
  const Waves waves(sm_count);
  const std::int64_t m_short = tiles(m, kShort), n_short = tiles(n, kShort);
  const double big = std::min(waves.slots(tiles(m, kLong) * n_short), waves.slots(m_short * tiles(n, kLong)));
  return std::min(2.0, std::min(kBig * big, kSmall * waves.slots(m_short * n_short)) * per_element);
}

/// One group's GEMM, each group having its share of the rows.
GemmShape shape_of_one(const models::GroupedGemm& work) {
  const std::int64_t rows = std::max<std::int64_t>(1, work.rows / work.groups);
  if (work.role == models::GemmRole::weight_grad) return {work.n, work.k, rows};
  return {rows, work.n, work.k};
}

}  // namespace

double tile_stretch(const hw::GemmCurve& curve, std::int64_t m, std::int64_t n) {
  if ((curve.padding == 0 && curve.wave == 0) || m <= 0 || n <= 0) return 1;
  constexpr std::int64_t kTile = 128;
  const double padded = static_cast<double>(tiles(m, kTile) * kTile) * static_cast<double>(tiles(n, kTile) * kTile);
  const double per_element = 1 / (static_cast<double>(m) * static_cast<double>(n));
  return 1 + curve.padding * (padded * per_element - 1) +
         curve.wave * (wave_stretch(m, n, curve.sm_count, per_element) - 1);
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
  double factor = efficiency.sustained * role_rate(work.role, efficiency);
  if (work.kernel != models::ExpertGemm::loop && hw::bytes_per_element(work.operand) < 2)
    factor *= efficiency.grouped_quantised_rate;
  Price price;
  price.ideal = roofline(cluster.gpu, work.operand, size.flops, size.bytes);
  price.origin = curve.origin;
  if (work.kernel == models::ExpertGemm::loop) {
    price.time = static_cast<double>(work.groups) * gemm_time(curve, shape_of_one(work), size.flops / work.groups,
                                                              size.bytes / work.groups, factor * efficiency.loop_rate);
    return price;
  }
  price.time = gemm_time(curve, tile_waste(work, efficiency) * size.flops, size.bytes,
                         factor * kernel_rate(work.kernel, efficiency));
  if (!models::one_kernel(work.kernel))
    price.time += (efficiency.grouped_overhead * (work.groups - 1)) * curve.overhead;
  return price;
}

}  // namespace sim
