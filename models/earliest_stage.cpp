#include "models/earliest_stage.h"

#include <algorithm>
#include <limits>

namespace models {
namespace {

constexpr std::size_t kGroup = 8;

double smallest(const double* of_group) {
  const double a = std::min(of_group[0], of_group[1]), b = std::min(of_group[2], of_group[3]);
  const double c = std::min(of_group[4], of_group[5]), d = std::min(of_group[6], of_group[7]);
  return std::min(std::min(a, b), std::min(c, d));
}

/// The first smallest but for the group's own first, which comes after the others.
std::size_t next_smallest(const double* of_group) {
  const double soonest = smallest(of_group);
  std::size_t next = 0;
  for (std::size_t i = kGroup - 1; i > 0; --i) next = of_group[i] == soonest ? i : next;
  return next;
}

std::size_t first_smallest(const double* of_group) {
  return of_group[0] == smallest(of_group) ? 0 : next_smallest(of_group);
}

}  // namespace

EarliestStage::EarliestStage(std::size_t stages, double when) {
  for (std::size_t members = stages;;) {
    const std::size_t groups = (members + kGroup - 1) / kGroup;
    levels_.emplace_back(groups * kGroup, std::numeric_limits<double>::infinity());
    std::fill_n(levels_.back().begin(), members, when);
    if (groups == 1) return;
    members = groups;
  }
}

void EarliestStage::set(int stage, double when) {
  auto index = static_cast<std::size_t>(stage);
  levels_.front()[index] = when;
  for (std::size_t level = 1; level < levels_.size(); ++level) {
    index /= kGroup;
    const double soonest = smallest(&levels_[level - 1][index * kGroup]);
    if (levels_[level][index] == soonest) return;
    levels_[level][index] = soonest;
  }
}

int EarliestStage::first() const {
  std::size_t group = 0;
  for (std::size_t level = levels_.size() - 1; level > 0; --level)
    group = group * kGroup + first_smallest(&levels_[level][group * kGroup]);
  return static_cast<int>(group * kGroup + next_smallest(&levels_.front()[group * kGroup]));
}

}  // namespace models
