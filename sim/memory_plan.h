#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "hw/units.h"
#include "models/step_program.h"
#include "sim/rank_memory.h"

namespace sim {

/// What is held beside one pass of a rank, as numbers of microbatches: the moments of a schedule that can be the
/// fullest, whatever the chunks keep.
struct HeldBeside {
  MemoryPass pass = MemoryPass::forward;
  bool merged = false;
  std::int16_t kind = 0;                      ///< which of the distinct chunks runs
  std::int16_t backward_kind = 0;             ///< merged: beside whose backward
  std::vector<std::int16_t> kept, gradients;  ///< by distinct chunk
};

/// The moments of each pipeline rank.
using MemoryPlan = std::vector<std::vector<HeldBeside>>;

/// predict_memory(...).peak, for schedules that do not split backward, whose orders depend on times.
///   plan  of the program's schedule and chunks
hw::Bytes peak_memory(const models::StepProgram& program, ActivationsByChunk& chunks, const MemoryPlan& plan);

/// Plans that layouts share. A schedule's moments are walked through once for all layouts with the same pp, vp,
/// microbatches and pattern of equal chunks; of two moments in which the same pass runs the one is dropped that holds
/// no more of anything.
class MemoryPlans {
 public:
  /// The reference stays valid.
  const MemoryPlan& of(const models::StepProgram& program, const ActivationsByChunk& chunks);

 private:
  std::map<std::vector<int>, MemoryPlan> plans_;
};

}  // namespace sim
