#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "exec/training.h"
#include "models/run.h"

namespace cli {

/// Says on stderr how training goes: a bar where that is a terminal, else a line now and then; `quiet`: nothing.
class TrainProgress {
 public:
  TrainProgress(const models::Run& run, std::int64_t steps, bool quiet);
  ~TrainProgress() { finish(); }
  TrainProgress(const TrainProgress&) = delete;
  TrainProgress& operator=(const TrainProgress&) = delete;

  void step(const exec::TrainedStep& step);
  /// A line of its own: a checkpoint, a signal.
  void note(const std::string& text);
  void finish();

 private:
  const models::Run& run_;
  std::int64_t steps_;
  bool quiet_, terminal_;
  bool bar_is_shown_ = false;
  std::vector<double> recent_;  ///< step times
};

/// `--log`: one JSON object a step, there as soon as the step is done.
class TrainLog {
 public:
  /// Continues the file after a resume, else begins it. An empty path: no log. Throws hw::InputError.
  TrainLog(std::string path, bool continues);
  ~TrainLog();
  TrainLog(const TrainLog&) = delete;
  TrainLog& operator=(const TrainLog&) = delete;

  void step(const models::Run& run, const exec::TrainedStep& step);

 private:
  std::string path_;
  std::FILE* file_ = nullptr;
};

}  // namespace cli
