#pragma once

#include <string>
#include <vector>

#include "cli/answer.h"
#include "models/run.h"

namespace cli {

/// `stepcast calibrate runs`: what no operator table gives, fitted to measured step times.
struct CalibrateRunsOptions {
  std::vector<std::string> files;
  std::string prior = "tables";  ///< as read_profile(): where the fit starts and what it is drawn to
  std::string plan;              ///< file; empty: DATA/calibration/plans/runs.json
  std::string out;               ///< file for the fitted profile; empty: not written
  bool intervals = false;        ///< cross-validate, and write 80 % intervals into the profile
  std::string json;              ///< file or -; empty: not written
};

/// Throws hw::InputError.
Answer calibrate_runs(const CalibrateRunsOptions& options, const models::DataDirectory& data);

}  // namespace cli
