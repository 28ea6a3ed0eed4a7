#include "calibration/ordering.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <string_view>
#include <vector>

namespace calibration {
namespace {

/// Predictions this close are equal: they differ by rounding only.
constexpr double kRounding = 1e-9;

/// -1, 0, 1 as `a` is less than, about, or more than `b`.
int compare(hw::Seconds a, hw::Seconds b, double tie) {
  if (std::abs(a.value - b.value) < tie * std::min(a.value, b.value) || a == b) return 0;
  return a < b ? -1 : 1;
}

void add_pair(const Contender& a, const Contender& b, Ordering& ordering) {
  const int measured = compare(a.measured, b.measured, kTie);
  if (measured == 0) return;
  const int predicted = compare(a.predicted, b.predicted, kRounding);
  ++ordering.pairs;
  if (predicted == 0) ordering.right += 0.5;
  if (predicted == measured) ordering.right += 1;
}

void add_regret(const std::vector<const Contender*>& group, Ordering& ordering) {
  hw::Seconds fastest = group.front()->predicted, best = group.front()->measured;
  for (const Contender* one : group) {
    fastest = std::min(fastest, one->predicted);
    best = std::min(best, one->measured);
  }
  double sum = 0;
  int picks = 0;
  for (const Contender* one : group) {
    if (compare(one->predicted, fastest, kRounding) != 0) continue;
    sum += one->measured / best - 1;
    ++picks;
  }
  const double regret = sum / picks;
  ++ordering.groups;
  ordering.regret_sum += regret;
  ordering.regret_max = std::max(ordering.regret_max, regret);
}

}  // namespace

Ordering order_pairs(std::span<const Contender> contenders) {
  std::map<std::string_view, std::vector<const Contender*>> groups;
  for (const Contender& one : contenders) groups[one.group].push_back(&one);
  Ordering ordering;
  for (const auto& [name, group] : groups) {
    if (group.size() < 2) continue;
    for (std::size_t i = 0; i < group.size(); ++i) {
      for (std::size_t j = i + 1; j < group.size(); ++j) add_pair(*group[i], *group[j], ordering);
    }
    add_regret(group, ordering);
  }
  return ordering;
}

}  // namespace calibration
