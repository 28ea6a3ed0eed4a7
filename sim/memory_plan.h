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

/// Peak memory of layouts that share schedules. A schedule's moments are walked through once for all layouts with the
/// same pp, vp, microbatches and pattern of equal chunks; of two moments in which the same pass runs the one is dropped
/// that holds no more of anything.
class MemoryPlans {
 public:
  /// predict_memory(...).peak. Not for schedules that split backward, whose orders depend on times.
  hw::Bytes peak(const models::StepProgram& program);

 private:
  using Rank = std::vector<HeldBeside>;
  const std::vector<Rank>& plan(const models::StepProgram& program, const ActivationsByChunk& chunks, bool late);

  std::map<std::vector<int>, std::vector<Rank>> plans_;
};

}  // namespace sim
