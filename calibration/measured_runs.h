#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "calibration/validated_row.h"
#include "hw/efficiency.h"
#include "hw/node.h"
#include "models/run.h"
#include "sim/prediction.h"

namespace calibration {

/// A measured row that could be read.
struct MeasuredRun {
  std::size_t row = 0;  ///< in MeasuredRuns::rows
  sim::LoweredRun lowered;
  const models::Run& run() const { return lowered.run; }
  std::string system;         ///< the row's `system` as JSON
  std::string configuration;  ///< all that it says but id, release, notes, source, trust, hardware_note and measured
  std::string release;        ///< empty: not stated
};

/// Measured runs of files, in the order of the files and their lines.
class MeasuredRuns {
 public:
  /// Reads JSONL files (docs/runs.md). Throws InputError where a file cannot be read; a row that cannot says why.
  MeasuredRuns(std::span<const std::filesystem::path> files, models::Library& library);

  /// All rows, nothing predicted yet; `refused` where one could not be read.
  const std::vector<ValidatedRow>& rows() const { return rows_; }
  const std::deque<MeasuredRun>& runs() const { return runs_; }

 private:
  void read(const std::filesystem::path& path, models::Library& library);
  void read_row(const hw::Node& node, models::Library& library, std::map<std::string, int>& first_line);

  std::vector<ValidatedRow> rows_;
  std::deque<MeasuredRun> runs_;
};

/// The profile's part for the machine of each run, by MeasuredRun::system.
using Efficiencies = std::map<std::string, hw::Efficiency>;
Efficiencies efficiencies_of(const MeasuredRuns& runs, const hw::Node& profile);

/// Fills the prediction of `run` into `row`, or why it was refused.
void predict_row(const MeasuredRun& run, const Efficiencies& efficiencies, sim::Tier tier, ValidatedRow& row);

}  // namespace calibration
