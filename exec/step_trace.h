#pragma once

#include <vector>

#include "exec/stream.h"
#include "models/step_program.h"
#include "models/timeline.h"

namespace exec {

/// All launches of one step on one rank.
struct RankRecords {
  int rank = 0;   ///< as the timeline is to name it
  int stage = 0;  ///< pipeline rank
  std::vector<LaunchRecord> launches;
};

/// The step as it ran, from the first launch on. Launches that are no op of the program (copies, sums) have op -1 and
/// kind `other`.
models::Timeline timeline_of(const models::StepProgram& program, const std::vector<RankRecords>& ranks);

}  // namespace exec
