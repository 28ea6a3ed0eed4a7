#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "models/layout.h"
#include "models/schedule.h"
#include "models/schedule_orders.h"

namespace models {

/// Megatron-LM takes microbatches in groups of pp and refuses a rest: a last group smaller than pp - 2 would deadlock.
/// A rank's k-th forward (group size g) and j-th backward (size h) wait on each other round the pipeline unless
/// g + h >= 2 pp - 2. PyTorch's ScheduleInterleaved1F1B spreads the rest over floor(m / pp) equal groups instead; so
/// does this, with the larger groups first where they cannot be equal.
std::vector<int> interleaved_groups(int pp, int microbatches) {
  const int groups = std::max(1, microbatches / pp);
  std::vector<int> sizes(static_cast<std::size_t>(groups), microbatches / groups);
  for (int i = 0; i < microbatches % groups; ++i) ++sizes[static_cast<std::size_t>(i)];
  return sizes;
}

namespace {

/// All tasks of one phase: group after group, in a group chunk after chunk (last chunk first for backwards).
TaskOrder phase_order(const Layout& layout, int stage, const std::vector<int>& groups, Phase phase) {
  TaskOrder order;
  order.reserve(static_cast<std::size_t>(layout.vp) *
                static_cast<std::size_t>(std::reduce(groups.begin(), groups.end())));
  int first = 0;
  for (const int size : groups) {
    for (int turn = 0; turn < layout.vp; ++turn) {
      const int local = phase == Phase::forward ? turn : layout.vp - 1 - turn;
      const auto chunk = static_cast<std::int16_t>(local * layout.pp + stage);
      for (int i = first; i < first + size; ++i) order.push_back({phase, chunk, i});
    }
    first += size;
  }
  return order;
}

}  // namespace

TaskOrder interleaved_1f1b(const Layout& layout, int stage, int microbatches, bool merged) {
  const std::vector<int> groups = interleaved_groups(layout.pp, microbatches);
  const TaskOrder forwards = phase_order(layout, stage, groups, Phase::forward);
  const TaskOrder backwards = phase_order(layout, stage, groups, Phase::backward);
  const int group = std::max(layout.pp, groups.front());
  const int wanted = (layout.pp - stage - 1) * 2 + (layout.vp - 1) * group + (merged ? 1 : 0);
  const std::size_t warm_up = std::min(static_cast<std::size_t>(wanted), forwards.size());

  TaskOrder order;
  order.reserve(2 * forwards.size());
  order.assign(forwards.begin(), forwards.begin() + static_cast<std::ptrdiff_t>(warm_up));
  for (std::size_t i = warm_up; i < forwards.size(); ++i) {
    order.push_back(forwards[i]);
    order.push_back(backwards[i - warm_up]);
  }
  order.insert(order.end(), backwards.end() - static_cast<std::ptrdiff_t>(warm_up), backwards.end());
  return order;
}

}  // namespace models
