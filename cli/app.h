#pragma once

#include "cli/answer.h"

namespace cli {

/// Reads the command line and runs its verb. Throws hw::InputError on wrong arguments and wrong input.
Answer run(int argc, const char* const* argv);

}  // namespace cli
