#pragma once

#include <cstdint>
#include <string>

#include "cli/tune.h"
#include "cli/tune_measure.h"
#include "models/run.h"
#include "tuning/query.h"
#include "tuning/tries.h"

/// What the flags of `tune` say. All throw hw::InputError, which names the flag.
namespace cli {

/// Flags that do not go together.
void check_tune_flags(const TuneOptions& options);
/// Whether what is asked to be tried can be: without a command, on a CPU only.
void check_triable(const TuneOptions& options, const std::string& file, const models::Run& run);

tuning::Bounds tune_bounds(const TuneOptions& options);
double least_gain(const TuneOptions& options);

tuning::TryPlan try_plan(const TuneOptions& options);
TrialCommand trial_command(const TuneOptions& options);
std::int64_t tried_steps(const TuneOptions& options);
int checked_rounds(const TuneOptions& options);

}  // namespace cli
