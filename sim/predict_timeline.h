#pragma once

#include <string>
#include <vector>

#include "models/timeline.h"
#include "sim/predict_step.h"

namespace sim {

/// Timelines above this many events are cut to the first microbatches.
inline constexpr std::size_t kMostEvents = 2'000'000;

/// Fills the first flush of the step, one track per pipeline rank and stream, and the optimizer. Whole passes are
/// played without cutting runs. Says in `assumed` where it kept only the first microbatches or the first of several
/// flushes.
void fill_timeline(const PricedProgram& priced, const StepCost& step, models::Timeline& timeline,
                   std::vector<std::string>& assumed);

}  // namespace sim
