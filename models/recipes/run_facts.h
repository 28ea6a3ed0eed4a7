#pragma once

#include <string>
#include <vector>

#include "models/run.h"

namespace recipes {

/// Everything of a run that can change its step, one `name = value` each: two runs with the same facts are one run to
/// whoever predicts, trains or prices them.
std::vector<std::string> run_facts(const models::Run& run);

}  // namespace recipes
