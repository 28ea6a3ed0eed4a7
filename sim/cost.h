#pragma once

#include <array>

#include "hw/cluster.h"
#include "hw/efficiency.h"
#include "models/step_program.h"
#include "sim/collective_cost.h"
#include "sim/price.h"

namespace sim {

/// Prices ops of one program on one machine. A pure function of its three references: no clock, file, log or cache.
/// The program's groups must be set before, because their places on the machine are worked out once: again by
/// place_groups(). Formulas:
/// docs/cost_model.md and the headers *_cost.h.
class CostModel {
 public:
  CostModel(const models::StepProgram& program, const hw::Cluster& cluster, const hw::Efficiency& efficiency);

  /// To be called where the program's groups have changed.
  void place_groups();

  Price price(const models::Block& block, const models::Op& op) const;
  /// Host time to issue the op (0 inside a graph): op.host_ops at the stack's time per framework op, more on Grace.
  hw::Seconds host_time(const models::Op& op) const;

  const models::StepProgram& program() const { return program_; }
  const hw::Cluster& cluster() const { return cluster_; }
  const hw::Efficiency& efficiency() const { return efficiency_; }

 private:
  const Placement& placement(models::GroupKind kind) const { return places_[static_cast<std::size_t>(kind)]; }

  const models::StepProgram& program_;
  const hw::Cluster& cluster_;
  const hw::Efficiency& efficiency_;
  std::array<Placement, models::kGroups> places_{};
  hw::Seconds per_host_op_;
};

}  // namespace sim
