#pragma once

#include "models/run.h"
#include "models/step_program.h"

namespace models {

/// Lowers model x layout x recipe to the step program. Never fails: a parsed run is valid.
StepProgram lower(const Run& run);

}  // namespace models
