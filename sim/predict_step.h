#pragma once

#include "sim/chunk_play.h"
#include "sim/pipeline.h"
#include "sim/prediction.h"

namespace sim {

/// One step as the pipeline rank that is busiest sees it.
struct StepCost {
  Parts parts;               ///< add up to the step time
  OpSums work;               ///< of the critical rank
  PipelineTimes times;       ///< what the pipeline was played with, first flush
  hw::Seconds optimizer_at;  ///< when the optimizer starts
  int critical_stage = 0;
};

/// Durations of the tasks. Gathers of later chunks have until the first microbatch reaches them; the reductions of a
/// rank's chunks go on behind the backward of its other chunks, and only what is left after the last is exposed.
PipelineTimes pipeline_times(const PricedProgram& priced, const ChunkCosts& chunks);

/// step = (flushes * pipeline + data-parallel transfers not overlapped + optimizer + step constant) * straggler.
StepCost step_cost(const PricedProgram& priced, const ChunkCosts& chunks, Tier tier);

}  // namespace sim
