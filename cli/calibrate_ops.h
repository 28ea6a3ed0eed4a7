#pragma once

#include <string>

#include "cli/answer.h"
#include "models/run.h"

namespace cli {

/// `stepcast calibrate ops`: curves of operators fitted to measured tables.
struct CalibrateOpsOptions {
  std::string folder;
  std::string prior = "tables";  ///< as read_profile(): the profile whose curves are replaced
  std::string out;               ///< file for the new profile; empty: not written
  std::string markdown;          ///< file; empty: not written
  std::string json;              ///< file or -; empty: not written
  bool curves_only = false;      ///< single numbers stay the prior's
};

/// Throws hw::InputError.
Answer calibrate_ops(const CalibrateOpsOptions& options, const models::DataDirectory& data);

}  // namespace cli
