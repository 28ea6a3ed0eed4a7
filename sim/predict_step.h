#pragma once

#include <vector>

#include "hw/units.h"
#include "models/schedule.h"
#include "sim/chunk_play.h"
#include "sim/pipeline.h"
#include "sim/prediction.h"

namespace sim {

/// One step as the pipeline rank that is busiest sees it.
struct StepCost {
  Parts parts;          ///< add up to the step time
  OpSums work;          ///< of the critical rank
  PipelineTimes times;  ///< what the pipeline was played with, first flush
  /// When the reductions of once a step that nothing hides start, and the optimizer, if stages meet before it; a
  /// post-validated one starts after its stage's last task.
  hw::Seconds reductions_at, optimizer_at;
  /// Of a flush, as laid out for `times`: always for the events tier, else see PipelineCost.
  std::vector<std::vector<models::PipelineTask>> orders;
  hw::Seconds flush_period;  ///< from the first flush's start to the second's, and so on
  int critical_stage = 0;
};

/// Durations of the tasks. Gathers of later chunks have until the first microbatch reaches them; the reductions of a
/// rank's chunks go on behind the backward of its other chunks, and only what is left after the last is exposed.
PipelineTimes pipeline_times(const PricedProgram& priced, const ChunkTable& chunks);

/// step = (flushes * pipeline + data-parallel transfers not overlapped + optimizer + step constant) * straggler.
/// pipeline is a flush's makespan; with a post-validated optimizer the longest span of a stage, first task to last: no
/// stage waits for the others' end, so that steps overlap (arXiv 2401.10241, section 4).
StepCost step_cost(const PricedProgram& priced, const ChunkCosts& chunks, Tier tier);

/// No step of this program is shorter: its busiest rank does all its passes, and the first microbatch comes to it and
/// the last one leaves it through the ranks before it.
///   least  of each pass, at most what it takes
hw::Seconds least_step_time(const PricedProgram& priced, const ChunkTable& least);

/// One microbatch of each pipeline rank: forward and backward of all its chunks, transfers between stages left out.
std::vector<hw::Seconds> stage_work(const PricedProgram& priced, const ChunkTable& chunks);

/// The closed form's step time alone, step_cost(...).parts.total() but for rounding, and its orders: for searches.
struct StepTime {
  hw::Seconds time;
  std::vector<std::vector<models::PipelineTask>> orders;
};
StepTime step_time(const PricedProgram& priced, const ChunkTable& chunks, PipelinePlans& plans);

}  // namespace sim
