#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "exec/step_trace.h"
#include "exec/training.h"
#include "models/run.h"
#include "models/step_program.h"

namespace exec {

enum class TracedRanks : std::uint8_t { none, one_a_stage, all };

struct CpuTraining {
  const models::Run& run;
  const models::StepProgram& program;
  const TrainingPlan& plan;
  const TokenSource& tokens;
  const TrainingHooks& hooks;
  StreamMode streams = StreamMode::immediate;
  TracedRanks traced = TracedRanks::none;
};

struct CpuTrainingResult {
  TrainingResult training;
  /// Rank 0 only: launches of the last step on the ranks that are traced, each stage's first or all.
  std::vector<RankRecords> records = {};
};

/// Trains all ranks as threads of this process. Throws what the first rank threw that failed, which its text names.
CpuTrainingResult train_threads(const CpuTraining& training);

/// Trains one rank: this process, of a job that a launcher started (exec/launched_rank.h). Where a rank fails, each
/// that still can calls `on_failure` with why, and then the job is ended.
CpuTrainingResult train_process(const CpuTraining& training, const std::function<void(const std::string&)>& on_failure);

}  // namespace exec
