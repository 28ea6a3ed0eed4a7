#pragma once

#include <optional>
#include <string>

#include "calibration/rival.h"
#include "hw/units.h"

namespace calibration {

/// A measured run and what was predicted for it.
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

}  // namespace calibration
