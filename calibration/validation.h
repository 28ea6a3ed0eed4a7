#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "calibration/rival.h"
#include "hw/node.h"
#include "hw/units.h"
#include "models/run.h"
#include "sim/prediction.h"

/// Predicts measured runs, row by row. Nothing is dropped: a row that is refused says why.
namespace calibration {

struct ValidatedRow {
  std::string file;  ///< as given
  int line = 0;
  /// As the row states them, whether or not it is refused; empty where it does not.
  std::string id, framework, model, system, precision, task;
  std::string family;  ///< dense, moe, dit; empty if refused
  int gpus = 0;
  hw::Seconds measured;  ///< 0: not stated (refused)
  std::string refused;   ///< the whole reason; empty: predicted, and all below is filled

  hw::Seconds predicted, low, high;
  hw::Seconds at_full_mfu;  ///< the step if its model FLOPs ran at the peak; 0: unknown
  hw::Bytes memory_predicted, memory_available;
  hw::Bytes memory_measured;  ///< 0: not stated
  bool derived = false;       ///< the measured time was derived from another figure, not printed
  bool assumed = false;       ///< something was not stated and filled in
  std::string group;          ///< Run::measured_group
  std::optional<RivalPrediction> rival;

  bool is_predicted() const { return refused.empty(); }
  double error() const { return predicted / measured - 1; }
  bool covered() const { return low <= measured && measured <= high; }
  bool has_memory() const { return is_predicted() && memory_measured.value > 0; }
  double memory_error() const { return memory_predicted / memory_measured - 1; }
  bool fits() const { return memory_predicted <= memory_available; }
};

/// Reads each file (JSONL, docs/runs.md), predicts all rows (in parallel; the result does not depend on it) and the
/// rival's opinion of all rows that were predicted. Rows in the order of the files and their lines. Throws InputError
/// where a file cannot be read or the profile is bad.
std::vector<ValidatedRow> validate(std::span<const std::filesystem::path> files, models::Library& library,
                                   const hw::Node& profile, sim::Tier tier);

}  // namespace calibration
