#pragma once

#include <string>
#include <vector>

#include "calibration/runs_fit.h"
#include "hw/node.h"
#include "models/run.h"

namespace cli {

/// The folder of descriptions: `stated` (--data) if not empty, else ../share/stepcast or share/stepcast beside the
/// binary, else the source tree that it was built from. Throws hw::InputError where that holds no hw/ and models/.
models::DataDirectory find_data(const std::string& stated);

/// The fitted profile: a file, the name of one in DATA/calibration/profiles, or `default` if empty. Throws
/// hw::InputError.
hw::Node read_profile(const std::string& stated, const models::DataDirectory& data);

/// What a fit of `prior` to runs may move: a file, or DATA/calibration/plans/runs.json if empty. Throws hw::InputError.
std::vector<calibration::FitParameter> read_fit_plan(const std::string& stated, const hw::Node& prior,
                                                     const models::DataDirectory& data);

}  // namespace cli
