#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hw/units.h"

/// What a prediction has to beat: one MFU per system, whatever the model, layout or stack.
namespace calibration {

struct RivalInput {
  std::string system;
  hw::Seconds measured;
  hw::Seconds at_full_mfu;  ///< model FLOPs by the row's own convention / (gpus * peak); 0: unknown
};

struct RivalPrediction {
  double mfu = 0;
  hw::Seconds step_time;
  hw::Seconds low, high;  ///< 80 % interval, from the 90th and 10th percentile of the MFU
};

/// The constant-MFU rival, leave one out: the MFU of each row is the median measured MFU of the other rows of its
/// system (of all other rows where its system has none), step time = at_full_mfu / MFU. Nothing where at_full_mfu is
/// unknown or there is no other row.
std::vector<std::optional<RivalPrediction>> constant_mfu_rival(std::span<const RivalInput> rows);

}  // namespace calibration
