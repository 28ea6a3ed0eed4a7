#include "sim/pointwise_cost.h"

namespace sim {

Price pointwise_cost(const models::Pointwise& work, models::OpSize size, const hw::Cluster& cluster,
                     const hw::Efficiency& efficiency) {
  const auto kind = static_cast<std::size_t>(work.kind);
  const double fraction = work.backward ? efficiency.pointwise_backward[kind] : efficiency.pointwise_forward[kind];
  const hw::Seconds ideal = size.bytes / cluster.gpu.memory_bandwidth;
  const double per_row = work.row_bytes > 0 ? 1 + efficiency.row_overhead.value / work.row_bytes : 1;
  return {.time = efficiency.pointwise_overhead + (per_row * static_cast<double>(work.passes) / fraction) * ideal,
          .ideal = ideal,
          .origin = efficiency.pointwise_origin};
}

Price optimizer_cost(models::OpSize size, const hw::Cluster& cluster, const hw::Efficiency& efficiency) {
  const hw::Seconds ideal = size.bytes / cluster.gpu.memory_bandwidth;
  const hw::GemmCurve& curve = efficiency.gemm[static_cast<std::size_t>(hw::DType::bf16)];
  return {.time = ideal / efficiency.optimizer_bandwidth + size.flops / (efficiency.sustained * curve.rate),
          .ideal = roofline(cluster.gpu, hw::DType::bf16, size.flops, size.bytes),
          .origin = efficiency.pointwise_origin};
}

Price host_copy_cost(hw::Bytes payload, const hw::Cluster& cluster, const hw::Efficiency& efficiency) {
  const hw::Seconds ideal = payload / cluster.gpu.host_link;
  return {.time = ideal / efficiency.host_link_fraction,
          .ideal = ideal,
          .origin = hw::Origin::roofline,
          .link = Link::host};
}

}  // namespace sim
