#include <algorithm>
#include <cstddef>
#include <cstdint>
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

/// The tasks of one phase in order: group after group, in a group chunk after chunk (last chunk first for backwards).
class PhaseTasks {
 public:
  PhaseTasks(const Layout& layout, int stage, const std::vector<int>& groups, Phase phase)
      : layout_(layout), stage_(stage), group_(groups.begin()), last_(*group_), phase_(phase) {
    enter_chunk();
  }

  PipelineTask next() {
    if (microbatch_ == last_) {
      if (++turn_ == layout_.vp) {
        turn_ = 0;
        first_ = last_;
        last_ += *++group_;
      }
      enter_chunk();
    }
    return {phase_, chunk_, microbatch_++};
  }

 private:
  void enter_chunk() {
    const int local = phase_ == Phase::forward ? turn_ : layout_.vp - 1 - turn_;
    chunk_ = static_cast<std::int16_t>(local * layout_.pp + stage_);
    microbatch_ = first_;
  }

  const Layout& layout_;
  int stage_;
  std::vector<int>::const_iterator group_;
  int turn_ = 0, first_ = 0, last_;  ///< microbatches [first_, last_) are the group
  int microbatch_ = 0;
  Phase phase_;
  std::int16_t chunk_ = 0;
};

}  // namespace

TaskOrder interleaved_1f1b(const Layout& layout, int stage, int microbatches, bool merged) {
  const std::vector<int> groups = interleaved_groups(layout.pp, microbatches);
  PhaseTasks forwards(layout, stage, groups, Phase::forward), backwards(layout, stage, groups, Phase::backward);
  const int group = std::max(layout.pp, groups.front()), tasks = layout.vp * microbatches;
  const int wanted = (layout.pp - stage - 1) * 2 + (layout.vp - 1) * group + (merged ? 1 : 0);
  const int warm_up = std::min(wanted, tasks);

  TaskOrder order;
  order.reserve(2 * static_cast<std::size_t>(tasks));
  for (int i = 0; i < warm_up; ++i) order.push_back(forwards.next());
  for (int i = warm_up; i < tasks; ++i) {
    order.push_back(forwards.next());
    order.push_back(backwards.next());
  }
  for (int i = 0; i < warm_up; ++i) order.push_back(backwards.next());
  return order;
}

}  // namespace models
