#pragma once

#include <functional>
#include <string>

#include "exec/training.h"
#include "models/run.h"
#include "models/step_program.h"

namespace exec {

/// What ranks are, and what is to be known of them besides training.
struct CpuTraining {
  const models::Run& run;
  const models::StepProgram& program;
  const TrainingPlan& plan;
  const TokenSource& tokens;
  const TrainingHooks& hooks;
};

/// Trains all ranks as threads of this process. Throws what the first rank threw that failed, which its text names.
TrainingResult train_threads(const CpuTraining& training);

/// Trains one rank: this process, of a job that a launcher started (exec/launched_rank.h). Where a rank fails, each
/// that still can calls `on_failure` with why, and then the job is ended.
TrainingResult train_process(const CpuTraining& training, const std::function<void(const std::string&)>& on_failure);

}  // namespace exec
