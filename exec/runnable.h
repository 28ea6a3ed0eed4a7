#pragma once

#include <functional>
#include <optional>
#include <string>

#include "hw/units.h"
#include "models/run.h"
#include "models/step_program.h"

namespace exec {

/// Why the executor cannot run a program in its layout: a block and a rule; nothing where it can.
std::optional<std::string> why_not_runnable(const models::StepProgram& program);

/// Why the executor cannot train a run that can be predicted: one rule, with what was found; nothing where it can.
///   has_kernel  whether the device has one for an op
std::optional<std::string> why_not_runnable(const models::Run& run, const models::StepProgram& program,
                                            const std::function<bool(const models::Op&)>& has_kernel);

/// Weights, master weights, gradients and both moments of all ranks together: the least memory that training takes.
hw::Bytes state_bytes(const models::Run& run, const models::StepProgram& program);

}  // namespace exec
