#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/answer.h"
#include "exec/training.h"
#include "models/run.h"

namespace cli {

/// `stepcast train`: a run, really trained.
struct TrainOptions {
  std::string run;                                             ///< file of the run description
  std::string steps, save_every, ranks, streams, trace_ranks;  ///< as typed; empty: not given
  std::string data;              ///< file of tokens, or `synthetic`; empty: what the run says
  std::string save, resume;      ///< folders
  std::string log, json, trace;  ///< where to write; empty: not
  bool quiet = false;
};

/// Throws hw::InputError. Status kNo where the loss stopped being a number.
Answer train(const TrainOptions& options, const models::DataDirectory& data);

/// What is known when training has ended.
struct TrainedRun {
  exec::TrainingResult result = {};
  std::vector<exec::TrainedStep> steps = {};
  bool processes = false;       ///< ranks were processes, else threads
  std::string stopped_by = {};  ///< signal
  std::string resumed = {};     ///< checkpoint; empty: none
  std::string save = {};        ///< folder; empty: none

  hw::Seconds median_step_time() const;
};

double tokens_of_step(const models::Run& run);
/// Of model FLOPs; nothing where the run's system is not the CPU that it was trained on.
std::optional<double> trained_mfu(const models::Run& run, hw::Seconds step_time);

/// What is printed: docs/cli.md.
std::string training_text(const models::Run& run, const TrainedRun& trained);
std::string training_json(const models::Run& run, const TrainedRun& trained);

}  // namespace cli
