#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "hw/units.h"
#include "models/run.h"
#include "sim/prediction.h"

/// What measured step times of a few layouts say of all others of the same model, machine and batch.
namespace calibration {

/// A layout as a correction sees it.
struct CorrectedLayout {
  hw::Seconds predicted;
  std::vector<double> shares;         ///< of the predicted step, by part of the breakdown
  std::vector<std::string> choices;   ///< values of its dimensions, in the same order for all layouts
};

/// All layouts of one comparison, described alike.
std::vector<CorrectedLayout> described(std::span<const models::Run* const> runs,
                                       std::span<const sim::Prediction* const> predictions);

struct MeasuredLayout {
  std::size_t layout = 0;  ///< index
  hw::Seconds time;
  double deviation = 0;  ///< of the logarithm of `time`: how far the median of its steps may be off
};

/// A step time with what was measured taken into account.
struct CorrectedTime {
  hw::Seconds time;
  double deviation = 0;  ///< of its logarithm
};

/// Step times of all layouts, given those that were measured. The logarithm of measured over predicted time is a
/// Gaussian process over layouts (Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, equations 2.23
/// to 2.25): a factor that all share; a factor on each part of the breakdown, so that layouts err alike as far as their
/// time goes into the same parts; what layouts of equal dimensions share; and a rest of each layout's own. How large all
/// but the first are is the most likely value beside its prior, `spread` (equation 2.30).
///   spread  standard deviation of the logarithm of predicted over measured time, as the profile states it
std::vector<CorrectedTime> corrected(std::span<const CorrectedLayout> layouts, std::span<const MeasuredLayout> measured,
                                     double spread);

}  // namespace calibration
