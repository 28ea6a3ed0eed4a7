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
  std::vector<double> parts;  ///< seconds of the predicted step, by part of the breakdown
  std::vector<int> choices;   ///< values of its dimensions, in the same order for all layouts
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

/// Step times of all layouts, given those that were measured. A step is the sum of its predicted parts, each times a
/// factor of its own, times what is left: a factor that all layouts share, what those of equal dimensions share, and a
/// rest of each layout's own. Logarithms of all of them are normal beforehand, so what is left is a Gaussian process
/// over layouts (Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, equations 2.23 to 2.25), and the
/// parts' factors join it by linearising about their best values, again and again (Gauss-Newton). How far factors stray
/// is the most likely of a few values beside its prior, `spread` (equation 2.30).
///   spread  standard deviation of the logarithm of predicted over measured time, before anything was measured
std::vector<CorrectedTime> corrected(std::span<const CorrectedLayout> layouts, std::span<const MeasuredLayout> measured,
                                     double spread);

}  // namespace calibration
