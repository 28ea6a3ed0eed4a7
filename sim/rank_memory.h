#pragma once

#include <optional>
#include <vector>

#include "hw/units.h"
#include "models/schedule.h"
#include "models/step_program.h"
#include "sim/activations.h"
#include "sim/memory_walk.h"

/// The peak of one pipeline rank: shared by predict_memory and the plans of searches.
namespace sim {

/// The fullest moment of a rank.
struct Moment {
  Held held;
  models::PipelineTask task;
};

/// The fullest moments of a rank with gathered weights and, at the end of a first backward pass, without.
struct Moments {
  Moment gathered, end;
};

/// A pass of this kind over a chunk.
const Held& held_in(MemoryPass pass, const ChunkActivations& chunk);

/// What is held beside a pass: activations of other microbatches and gradients that have appeared.
struct Beside {
  double kept = 0, gradients = 0;
};

/// Takes the moment if it is fuller than what there was.
void raise(Moments& moments, const Beside& beside, MemoryPass pass, const Held& held, const models::PipelineTask& task);

/// Of a rank: activations, gathered weights and gradients when they are most together.
struct Fullest {
  Held held;
  double gathered = 0, gradients = 0;
  std::optional<models::PipelineTask> task;  ///< in which; else at the end of backward

  double total() const { return held.total() + gathered + gradients; }
};

Fullest fullest_of(const models::StaticMemory& memory, const Moments& moments);

/// What all moments of a step share.
double fixed_bytes(const models::StaticMemory& memory);

/// Receive buffers of both directions.
double pipeline_buffers(const models::StepProgram& program);

/// Microbatches after which a schedule has warmed up and run for a period; GPipe warms up over all. The interleaved
/// one spreads what pp does not divide over its groups, so that rest stays.
int enough_microbatches(const models::Layout& layout);

/// predict_memory(...).peak of each pipeline rank.
///   orders  as predict_memory() takes them
std::vector<hw::Bytes> stage_peaks(const models::StepProgram& program,
                                   const std::vector<std::vector<models::PipelineTask>>& orders);

}  // namespace sim
