#pragma once

#include <span>
#include <string>

#include "hw/units.h"

namespace calibration {

/// One layout of a group of layouts that compete: same model, machine, batch.
struct Contender {
  std::string group;
  hw::Seconds measured, predicted;
};

/// Whether predictions put layouts in the right order, which is what a search needs of them.
struct Ordering {
  int pairs = 0;     ///< of one group, measured times at least kTie apart
  double right = 0;  ///< of them in the measured order; a pair predicted equal counts half
  int groups = 0;    ///< with at least two contenders
  double regret_sum = 0, regret_max = 0;

  /// Meaningless without pairs, respectively groups.
  double right_share() const { return right / pairs; }
  double regret_mean() const { return regret_sum / groups; }
};

/// Measured times that differ by less than this share of the smaller one are a tie: no pair.
inline constexpr double kTie = 0.02;

/// Compares all pairs of each group. Regret of a group: measured time of the contender that is predicted fastest over
/// the best measured time, less 1; where several are predicted equally fast, the mean of theirs.
Ordering order_pairs(std::span<const Contender> contenders);

}  // namespace calibration
