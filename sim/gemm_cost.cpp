#include "sim/gemm_cost.h"

#include <algorithm>
#include <cmath>

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
double tile_waste(const models::GroupedGemm& work, const hw::Efficiency& efficiency) {
  if (work.role == models::GemmRole::weight_grad || work.rows == 0) return 1;
  return 1 + efficiency.grouped_extra_rows * work.groups / static_cast<double>(work.rows);
}

}  // namespace

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
  return {.time = gemm_time(curve, size.flops, size.bytes, factor),
          .ideal = roofline(cluster.gpu, work.operand, size.flops, size.bytes),
          .origin = curve.origin};
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
  const double waste = tile_waste(work, efficiency);
  switch (work.kernel) {
    case models::ExpertGemm::grouped:
      price.time = gemm_time(curve, waste * size.flops, size.bytes, factor * efficiency.grouped_rate);
      break;
    case models::ExpertGemm::fused_grouped:
      price.time = gemm_time(curve, waste * size.flops, size.bytes, factor * efficiency.fused_grouped_rate);
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
