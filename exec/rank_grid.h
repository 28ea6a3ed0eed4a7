#pragma once

#include <vector>

#include "models/step_program.h"

namespace exec {

/// Where one rank stands in the layout: its place in each of its groups (StepProgram::groups).
class RankGrid {
 public:
  RankGrid(const models::StepProgram& program, int rank);

  int rank() const { return rank_; }
  int size(models::GroupKind kind) const { return group(kind).size; }
  /// This rank's place in its group of that kind, from 0.
  int index(models::GroupKind kind) const { return rank_ / group(kind).stride % group(kind).size; }
  /// Global ranks of its group, in order.
  std::vector<int> members(models::GroupKind kind) const;

 private:
  const models::Group& group(models::GroupKind kind) const { return groups_[static_cast<std::size_t>(kind)]; }

  std::array<models::Group, models::kGroups> groups_;
  int rank_;
};

}  // namespace exec
