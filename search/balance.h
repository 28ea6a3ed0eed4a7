#pragma once

#include <cstddef>
#include <vector>

#include "hw/efficiency.h"
#include "hw/units.h"
#include "models/run.h"
#include "sim/prediction.h"
#include "sim/shared_blocks.h"

namespace search {

/// A placement of a run's elements on its chunks, by the closed form.
struct Placement {
  std::vector<models::StageChunk> chunks;
  hw::Seconds time;
  hw::Bytes peak;
};

/// What balancing found.
struct Placements {
  std::vector<Placement> best;  ///< best first
  int judged = 0;               ///< placements whose step time was predicted
  bool all = false;             ///< of every one that there is: the first is the best
};

/// Looks for the placement with the shortest step of those that need at most `room`; where none is known to, for the
/// one that needs least. Few placements are all judged. Of many, a descent moves one element at a time between any two
/// chunks, from the run's own placement and from even ones, until no move makes the step shorter or, at the same time,
/// the stages more even. Where layers are equal, a placement that no move improves has the least busiest stage of all:
/// the busiest of separable loads is least where no transfer of one unit makes it less (Ibaraki and Katoh, Resource
/// Allocation Problems, 1988, chapter 3).
///   keep       at most so many placements
///   judge_all  how many placements are few: a fraction of a second's
constexpr long kJudgeAll = 2'000;
Placements balance(const models::Run& run, const hw::Efficiency& efficiency, hw::Bytes room, std::size_t keep,
                   long judge_all = kJudgeAll);

/// A run with its layers placed in one way.
struct PlacedRun {
  models::Run run;
  sim::Prediction prediction;          ///< by events
  std::vector<sim::StageLoad> stages;  ///< by pipeline rank
};

/// A run before and after: the second is never worse than the first, and by less than 0.1 % than what the framework
/// does untold.
struct Balanced {
  PlacedRun before, after;
  hw::Bytes room;
  int judged = 0;
  bool all = false;
};

/// `room`: what a placement may need, unless the run itself needs more and the GPU holds that.
Balanced balance_run(const models::Run& run, const hw::Efficiency& efficiency, hw::Bytes room);

}  // namespace search
