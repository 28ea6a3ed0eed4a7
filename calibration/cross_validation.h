#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "calibration/measured_runs.h"
#include "calibration/runs_fit.h"
#include "sim/prediction.h"

namespace calibration {

/// What is left out together: `layout` is a fifth of all configurations, by a hash; the others all rows with one value
/// (`framework-model`: with one pair of values).
inline constexpr std::string_view kFoldKeys[] = {"layout",    "model",           "system", "release",
                                                 "framework", "framework-model", "file"};

struct CrossValidation {
  std::string key;
  std::vector<ValidatedRow> rows;  ///< each predicted by a fit that has not seen its fold
  std::vector<int> fold;           ///< of each row; -1 where it could not be read
  int folds = 0;
};

/// Refits without each fold in turn. With `layout`, all rows of one configuration, in every file, are in one fold.
CrossValidation cross_validate(const MeasuredRuns& runs, const RunsFitter& fitter, std::string_view key,
                               sim::Tier tier);

}  // namespace calibration
