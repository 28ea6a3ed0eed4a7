#pragma once

#include <map>
#include <string>
#include <vector>

#include "exec/step_trace.h"
#include "models/run.h"

namespace exec {

/// A weight put together from all ranks.
struct WholeWeight {
  std::int64_t rows = 0, columns = 0;
  std::vector<double> values;
};

/// What a short training run gave.
struct Trained {
  std::vector<double> losses, gradient_norms;
  std::vector<std::map<std::string, double>> norms_of_parameters;  ///< by step
  std::map<std::string, WholeWeight> weights;
  std::vector<std::size_t> peak_bytes;  ///< by rank, largest of all steps
  std::vector<RankRecords> records;     ///< by rank, of the last step
};

/// Trains for `steps` on ranks that are threads.
Trained train(const models::Run& run, int steps, StreamMode mode = StreamMode::immediate);

/// A run description with `overrides` (a JSON object) merged in. Models and stacks come from the source tree.
models::Run tiny_run(const std::string& golden, const std::string& overrides = "{}");

}  // namespace exec
