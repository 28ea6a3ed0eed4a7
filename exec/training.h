#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "exec/rank_executor.h"
#include "exec/token_source.h"
#include "hw/units.h"
#include "models/run.h"

namespace exec {

/// What a run of the executor is to do.
struct TrainingPlan {
  std::int64_t steps = 0;       ///< train until so many are done, those before a checkpoint included
  std::string save;             ///< folder for checkpoints; empty: none
  std::int64_t save_every = 0;  ///< steps; 0: only at the end
  std::string resume;           ///< a checkpoint to begin from; empty: first values
};

/// One step as rank 0 saw it.
struct TrainedStep {
  std::int64_t step = 0;  ///< from 1
  double loss = 0, gradient_norm = 0, learning_rate = 0;
  hw::Seconds time;
};

enum class TrainingEnd : std::uint8_t {
  done,
  stopped,   ///< was asked to
  diverged,  ///< the loss is not a number any more; that step is not saved
};

/// The same on all ranks.
struct TrainingResult {
  TrainingEnd end = TrainingEnd::done;
  std::int64_t first = 0, last = 0;     ///< steps done before and after
  std::vector<std::int64_t> saved;      ///< steps that have a checkpoint now
  std::vector<std::size_t> peak_bytes;  ///< by rank
};

/// Empty ones are not called.
struct TrainingHooks {
  std::function<void(std::int64_t first)> on_start;                       ///< rank 0; steps done before
  std::function<void(const TrainedStep&)> on_step;                        ///< rank 0
  std::function<void(std::int64_t step, const std::string& at)> on_save;  ///< rank 0
  std::function<bool()> stop_asked;  ///< asked on each rank after each step: one yes stops all, behind a checkpoint
};

/// Trains one rank; all ranks call it with the same plan. `after_step` is called on each of them. Throws hw::InputError
/// for a checkpoint that cannot be read or written, and what the executor throws.
TrainingResult train_rank(const models::Run& run, const TrainingPlan& plan, const TokenSource& tokens,
                          RankExecutor& executor, const TrainingHooks& hooks, const std::function<void()>& after_step);

}  // namespace exec
