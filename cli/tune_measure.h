#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <regex>
#include <string>

#include "models/run.h"
#include "tuning/subject.h"
#include "tuning/tries.h"

/// How `tune --try` runs a layout for real.
namespace cli {

/// The recipe with a proposal's layout; nothing, and why, where its format has no words for that.
std::optional<std::string> written_as(const tuning::Proposal& proposal, const tuning::Subject& subject,
                                      models::Library& library, std::string& why);

/// Trains it on this machine's CPU, each rank a thread: so many steps, behind one that only warms up. Layouts that the
/// executor does not run are failures.
tuning::Measure by_training(std::int64_t steps, const tuning::Subject& subject, models::Library& library,
                            std::function<bool()> stop_asked);

/// A command of the caller's.
struct TrialCommand {
  std::string command;                ///< `{recipe}` and `{gpus}` stand for the recipe's file and the number of GPUs
  std::optional<std::regex> pattern;  ///< its first group, or all of it, is the step time
  std::chrono::seconds limit{0};
};

/// Writes the recipe and runs the command with it. References must live longer.
tuning::Measure by_command(const TrialCommand& command, const tuning::Subject& subject, models::Library& library,
                           std::function<bool()> stop_asked);

/// The step time in seconds that a command's stdout tells: the last line that is a number, or that the pattern finds.
std::optional<double> told_step_time(const std::string& out, const std::optional<std::regex>& pattern);

}  // namespace cli
