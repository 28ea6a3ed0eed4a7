#include "sim/pipeline_plan.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace sim {

using models::Phase;
using models::PipelineTask;
using models::Schedule;

namespace {

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

bool is_forward(const PipelineTask& task) { return task.phase == Phase::forward; }

/// Indices of a stage's order in which a forward may merge with the backward after it.
struct Steady {
  std::size_t from = 0, to = 0;
};

/// The steady part starts at the forward before the first backward. If that is the last forward there is none: a pair
/// made of the end of the warm-up and the start of the cool-down would wait for itself round the pipeline.
Steady steady_part(const std::vector<PipelineTask>& order) {
  const auto first_backward = std::find_if_not(order.begin(), order.end(), is_forward);
  const auto last_forward = std::find_if(order.rbegin(), order.rend(), is_forward);
  const auto warm_up = static_cast<std::size_t>(first_backward - order.begin());
  const auto forwards_end = static_cast<std::size_t>(order.rend() - last_forward);
  if (forwards_end <= warm_up) return {};
  return {warm_up - 1, forwards_end};
}

}  // namespace

inline PlannedTask PipelinePlan::planned(const PipelineTask& task, int stage) const {
  const int chunk = task.chunk, microbatch = task.microbatch;
  PlannedTask planned{.needed = kStart,
                      .result = kUnread,
                      .way = kPhases * chunk + static_cast<std::int32_t>(task.phase),
                      .stage = static_cast<std::int16_t>(stage)};
  switch (task.phase) {
    case Phase::forward:
      if (chunk > 0) planned.needed = forward_id(chunk - 1, microbatch);
      planned.result = forward_id(chunk, microbatch);
      planned.edge = microbatch == 0;
      break;
    case Phase::backward:
    case Phase::input_grad:
      planned.needed = chunk + 1 == chunks_ ? forward_id(chunk, microbatch) : backward_id(chunk + 1, microbatch);
      planned.result = backward_id(chunk, microbatch);
      planned.edge = task.phase == Phase::backward && microbatch + 1 == microbatches_;
      break;
    case Phase::weight_grad:
      planned.needed = backward_id(chunk, microbatch);
      planned.edge = microbatch + 1 == microbatches_;
      break;
  }
  return planned;
}

/// A stage runs until it waits for a task that was not listed yet, and whoever lists that wakes it.
class PipelinePlan::Sorter {
 public:
  Sorter(PipelinePlan& plan, const Orders& orders, bool merge)
      : plan_(plan), orders_(orders), stages_(orders.size()), results_(plan.results(), kMissing) {
    results_[at(kStart)] = kListed;
    for (std::size_t s = 0; merge && s < stages_.size(); ++s) stages_[s].steady = steady_part(orders[s]);
  }

  void sort() {
    for (int s = static_cast<int>(stages_.size()) - 1; s >= 0; --s) ready_.push_back(s);
    while (!ready_.empty()) {
      const int stage = ready_.back();
      ready_.pop_back();
      advance(stage);
    }
    for (std::size_t s = 0; s < stages_.size(); ++s)
      if (stages_[s].next < orders_[s].size()) throw std::logic_error("pipeline orders deadlock");
  }

 private:
  static constexpr std::int16_t kListed = -2, kMissing = -1;
  struct Stage {
    std::size_t next = 0;
    Steady steady;
  };

  static bool merges(const Stage& stage, const std::vector<PipelineTask>& order) {
    if (stage.next < stage.steady.from || stage.next + 1 > stage.steady.to) return false;
    const PipelineTask &forward = order[stage.next], &backward = order[stage.next + 1];
    return is_forward(forward) && backward.phase == Phase::backward && forward.microbatch != backward.microbatch;
  }

  bool is_there(const PlannedTask& task, int stage) {
    std::int16_t& needed = results_[at(task.needed)];
    if (needed == kListed) return true;
    needed = static_cast<std::int16_t>(stage);
    return false;
  }

  void list(const PlannedTask& task) {
    plan_.tasks_.push_back(task);
    if (task.result == kUnread) return;
    const std::int16_t waits = std::exchange(results_[at(task.result)], kListed);
    if (waits >= 0) ready_.push_back(waits);
  }

  void advance(int index) {
    Stage& stage = stages_[at(index)];
    const std::vector<PipelineTask>& order = orders_[at(index)];
    while (stage.next < order.size()) {
      PlannedTask task = plan_.planned(order[stage.next], index);
      if (!is_there(task, index)) return;
      task.merged = merges(stage, order);
      if (task.merged) {
        const PlannedTask partner = plan_.planned(order[stage.next + 1], index);
        if (!is_there(partner, index)) return;
        list(task);
        list(partner);
        ++stage.next;
      } else {
        list(task);
      }
      ++stage.next;
    }
  }

  PipelinePlan& plan_;
  const Orders& orders_;
  std::vector<Stage> stages_;
  std::vector<std::int16_t> results_;  ///< kListed, kMissing, or the stage that waits for it
  std::vector<int> ready_;             ///< stages to visit, last in first out
};

PipelinePlan::PipelinePlan(const models::Layout& layout, const Orders& orders, bool merge)
    : stages_(static_cast<int>(orders.size())), chunks_(layout.pp * layout.vp) {
  std::size_t tasks = 0;
  for (const PipelineTask& task : orders.front()) microbatches_ = std::max(microbatches_, task.microbatch + 1);
  for (const auto& order : orders) tasks += order.size();
  half_ = at(chunks_) * at(microbatches_);
  tasks_.reserve(tasks);
  const bool can_merge = layout.schedule == Schedule::one_f_one_b || layout.schedule == Schedule::interleaved;
  Sorter(*this, orders, merge && can_merge).sort();
}

PipelineTask PipelinePlan::task(std::size_t i) const {
  // Weight gradients have no result that is waited for, but need that of their own input gradients.
  const PlannedTask& task = tasks_[i];
  const std::int32_t id = (task.result == kUnread ? task.needed : task.result) - forward_id(0, 0);
  return {.phase = static_cast<Phase>(task.way % kPhases),
          .chunk = static_cast<std::int16_t>(task.way / kPhases),
          .microbatch = id % microbatches_};
}

const PipelinePlan& PipelinePlans::of(const models::Layout& layout, int microbatches, bool merge) {
  const std::array key{static_cast<int>(layout.schedule), layout.pp, layout.vp, microbatches, merge ? 1 : 0};
  const auto known = plans_.find(key);
  if (known != plans_.end()) return known->second;
  const auto orders = models::pipeline_schedule(layout, microbatches, {}, merge);
  return plans_.emplace(key, PipelinePlan(layout, orders, merge)).first->second;
}

}  // namespace sim
