#include "sim/cost.h"

#include <type_traits>
#include <variant>

#include "sim/attention_cost.h"
#include "sim/expert_exchange_cost.h"
#include "sim/gemm_cost.h"
#include "sim/pointwise_cost.h"

namespace sim {

namespace {

/// Routing, permutation and dispatch are Python around small kernels; their ops cost the host more than a module's.
bool routes_tokens(models::Module module) {
  using models::Module;
  return module == Module::router || module == Module::moe_preprocess || module == Module::dispatch ||
         module == Module::experts || module == Module::moe_act;
}

}  // namespace

CostModel::CostModel(const models::StepProgram& program, const hw::Cluster& cluster, const hw::Efficiency& efficiency)
    : program_(program), cluster_(cluster), efficiency_(efficiency) {
  place_groups();
  const double factor = efficiency.host_op_factor * (cluster.grace ? efficiency.grace_host_factor : 1);
  const bool dispatched = program.traits.dtensor && program.layout.tp > 1 && !program.traits.compiled;
  per_host_op_ =
      (factor * (dispatched ? efficiency.dtensor_host_factor : 1)) * hw::microseconds(program.traits.host_op_us);
}

void CostModel::place_groups() {
  for (std::size_t i = 0; i < places_.size(); ++i) places_[i] = place(program_.groups[i], cluster_);
}

Price CostModel::price(const models::Block& block, const models::Op& op) const {
  using namespace models;  // eleven alternatives of Work
  const auto size = [&] { return op_size(block, op); };
  return std::visit(
      [&](const auto& work) -> Price {
        using W = std::decay_t<decltype(work)>;
        if constexpr (std::is_same_v<W, Gemm>) return gemm_cost(work, size(), cluster_, efficiency_);
        else if constexpr (std::is_same_v<W, GroupedGemm>)
          return grouped_gemm_cost(work, size(), cluster_, efficiency_);
        else if constexpr (std::is_same_v<W, Attention>) return attention_cost(work, size(), cluster_, efficiency_);
        else if constexpr (std::is_same_v<W, Scan>) return scan_cost(size(), cluster_, efficiency_);
        else if constexpr (std::is_same_v<W, Pointwise>) return pointwise_cost(work, size(), cluster_, efficiency_);
        else if constexpr (std::is_same_v<W, Collective>)
          return collective_cost(work, placement(work.group), cluster_, efficiency_);
        else if constexpr (std::is_same_v<W, ExpertExchange>)
          return expert_exchange_cost(work, placement(GroupKind::ep), cluster_, efficiency_);
        else if constexpr (std::is_same_v<W, SendRecv>)
          return send_cost(work.payload, placement(work.group), cluster_, efficiency_);
        else if constexpr (std::is_same_v<W, HostCopy>) return host_copy_cost(work.payload, cluster_, efficiency_);
        else if constexpr (std::is_same_v<W, HostSync>)
          return {.time = efficiency_.sync, .ideal = {}, .origin = hw::Origin::runs};
        else if constexpr (std::is_same_v<W, OptimizerStep>) return optimizer_cost(size(), cluster_, efficiency_);
        else {
          static_assert(std::is_same_v<W, TpCopy>);
          return {};
        }
      },
      op.work);
}

hw::Seconds CostModel::host_time(const models::Op& op) const {
  const double factor = routes_tokens(op.module) ? efficiency_.moe_host_factor : 1;
  const double launches = efficiency_.launch_host_factor * static_cast<double>(op.host_launches);
  return (factor * static_cast<double>(op.host_ops) + launches) * per_host_op_;
}

}  // namespace sim
