#pragma once

#include <vector>

#include "models/schedule.h"

namespace sim {

/// The worst moments within a pass.
enum class MemoryPass { forward, backward, first_backward, behind_first_backward, input_grad };

/// What activations come and go over the tasks of a rank, in their order. `rank` is told:
///   consider(pass, task)           a pass over the task's chunk runs now
///   consider_merged(task, next)    a forward and the backward after it run side by side
///   keep, release(chunk)           what backward reads of a microbatch
///   hold, let_go(chunk)            what weight gradients read, between input and weight gradients
///   gradients(chunk)               appear now, with `late` in the chunk's first backward
template <typename Rank>
void walk_memory(const std::vector<models::PipelineTask>& order, std::size_t chunks, bool merged, bool late,
                 Rank& rank) {
  using models::Phase;
  std::vector<bool> has_gradients(chunks, !late);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const models::PipelineTask& task = order[i];
    const models::PipelineTask* next = i + 1 < order.size() ? &order[i + 1] : nullptr;
    if (merged && next && task.phase == Phase::forward && next->phase == Phase::backward &&
        next->microbatch != task.microbatch) {
      rank.consider_merged(task, *next);
      rank.keep(task.chunk);
      rank.release(next->chunk);
      ++i;
      continue;
    }
    switch (task.phase) {
      case Phase::forward:
        rank.consider(MemoryPass::forward, task);
        rank.keep(task.chunk);
        break;
      case Phase::backward:
        rank.release(task.chunk);
        if (has_gradients[static_cast<std::size_t>(task.chunk)]) {
          rank.consider(MemoryPass::backward, task);
          break;
        }
        has_gradients[static_cast<std::size_t>(task.chunk)] = true;
        rank.consider(MemoryPass::first_backward, task);
        rank.consider(MemoryPass::behind_first_backward, task);
        rank.gradients(task.chunk);
        break;
      case Phase::input_grad:
        rank.release(task.chunk);
        rank.consider(MemoryPass::input_grad, task);
        rank.hold(task.chunk);
        break;
      case Phase::weight_grad: rank.let_go(task.chunk); break;
    }
  }
}

}  // namespace sim
