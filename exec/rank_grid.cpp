#include "exec/rank_grid.h"

namespace exec {

RankGrid::RankGrid(const models::StepProgram& program, int rank) : groups_(program.groups), rank_(rank) {}

std::vector<int> RankGrid::members(models::GroupKind kind) const {
  const int stride = group(kind).stride, first = rank_ - index(kind) * stride;
  std::vector<int> ranks;
  ranks.reserve(static_cast<std::size_t>(size(kind)));
  for (int i = 0; i < size(kind); ++i) ranks.push_back(first + i * stride);
  return ranks;
}

}  // namespace exec
