#include "cli/tune_flags.h"

#include <algorithm>
#include <charconv>
#include <regex>
#include <string_view>
#include <utility>

#include "cli/recipe_input.h"
#include "hw/error_text.h"
#include "hw/input_error.h"

namespace cli {
namespace {

using recipes::Value;

constexpr int kRerank = 50;        ///< layouts predicted by events
constexpr int kSteps = 3;          ///< measured of each run of the executor
constexpr int kRounds = 10;        ///< on the executor: a shared machine's speed drifts
constexpr int kCommandRounds = 1;  ///< a command's runs are long
constexpr int kTimeout = 3600;     ///< seconds of a command
constexpr double kLeastGain = 0.01, kEnough = 0.02;

[[noreturn]] void refuse(const std::string& flag, const std::string& rule, const std::string& got) {
  throw hw::InputError(flag + ": " + rule + ", got " + hw::shortened(hw::printable(got)));
}

int positive(const std::string& flag, const std::string& text, int otherwise) {
  if (text.empty()) return otherwise;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1)
    refuse(flag, "must be a positive integer", text);
  return value;
}

/// `0.02` or `2%`.
double ratio(const std::string& flag, const std::string& text, double otherwise) {
  if (text.empty()) return otherwise;
  constexpr double kPercent = 0.01;
  const bool percent = text.ends_with('%');
  const std::string_view digits = std::string_view(text).substr(0, text.size() - (percent ? 1 : 0));
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !(value >= 0))
    refuse(flag, "must be a ratio or a percentage, such as 0.02 or 2%", text);
  return percent ? value * kPercent : value;
}

std::pair<std::string, std::string> key_and_value(const std::string& flag, const std::string& text) {
  const std::size_t sign = text.find('=');
  if (sign == std::string::npos || sign == 0 || sign + 1 == text.size()) refuse(flag, "must be KEY=VALUE", text);
  return {text.substr(0, sign), text.substr(sign + 1)};
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t to = std::min(text.find(',', from), text.size());
    parts.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return parts;
}

/// `1,2,4`, or a JSON array, or one JSON object.
Value values_of(const std::string& text) {
  const Value whole = flag_value(text);
  if (whole.as<Value::List>()) return whole;
  if (whole.as<Value::Object>()) return Value::List{whole};
  Value::List list;
  for (const std::string& part : split_at_commas(text)) list.push_back(flag_value(part));
  return list;
}

/// `pp=4,zero=0`, or a condition as JSON (docs/search.md).
Value condition_of(const std::string& text) {
  const Value whole = flag_value(text);
  if (whole.as<Value::Object>()) return whole;
  Value::Object condition;
  for (const std::string& part : split_at_commas(text)) {
    const auto [key, value] = key_and_value("--forbid", part);
    condition.emplace_back(key, flag_value(value));
  }
  return condition;
}

void check_needs_try(const TuneOptions& options) {
  const std::pair<const char*, const std::string*> flags[] = {
      {"--steps", &options.steps},     {"--rounds", &options.rounds},   {"--enough", &options.enough},
      {"--command", &options.command}, {"--timeout", &options.timeout}, {"--step-time-pattern", &options.pattern},
      {"--check", &options.check}};
  for (const auto& [flag, text] : flags)
    if (!text->empty() && options.tries.empty()) throw hw::InputError(std::string(flag) + ": needs --try N");
}

}  // namespace

void check_tune_flags(const TuneOptions& options) {
  if (options.threads < 0) refuse("--threads", "must be a positive integer", std::to_string(options.threads));
  if (options.recipe.json == "-" && options.recipe.out.empty())
    throw hw::InputError("--json: must be a file where the recipe goes to stdout (no --out), got -");
  check_needs_try(options);
  for (const auto& [flag, text] :
       {std::pair{"--timeout", &options.timeout}, std::pair{"--step-time-pattern", &options.pattern}})
    if (!text->empty() && options.command.empty()) throw hw::InputError(std::string(flag) + ": needs --command CMD");
  if (!options.command.empty() && !options.steps.empty())
    throw hw::InputError("--steps: is of the executor; a --command decides on its own");
  if (!options.command.empty() && options.command.find("{recipe}") == std::string::npos)
    refuse("--command", "must name {recipe}, which stands for the file to run", options.command);
}

void check_triable(const TuneOptions& options, const std::string& file, const models::Run& run) {
  if (options.tries.empty() || !options.command.empty()) return;
  if (run.cluster.gpu.architecture.starts_with("sm_"))
    refuse(hw::printable(file) + ": system", "must be a CPU for --try without --command CMD", run.cluster.name);
}

tuning::Bounds tune_bounds(const TuneOptions& options) {
  tuning::Bounds bounds;
  for (const std::string& text : options.pin) {
    auto [key, value] = key_and_value("--pin", text);
    bounds.pin.emplace_back(std::move(key), flag_value(value));
  }
  for (const std::string& text : options.space) {
    auto [key, value] = key_and_value("--space", text);
    bounds.space.emplace_back(std::move(key), values_of(value));
  }
  for (const std::string& text : options.forbid) bounds.forbid.push_back(condition_of(text));
  bounds.rerank = positive("--rerank", options.rerank, kRerank);
  return bounds;
}

double least_gain(const TuneOptions& options) { return ratio("--least-gain", options.least_gain, kLeastGain); }

tuning::TryPlan try_plan(const TuneOptions& options) {
  tuning::TryPlan plan;
  plan.most = positive("--try", options.tries, 0);
  plan.rounds = positive("--rounds", options.rounds, options.command.empty() ? kRounds : kCommandRounds);
  plan.enough = ratio("--enough", options.enough, kEnough);
  return plan;
}

TrialCommand trial_command(const TuneOptions& options) {
  TrialCommand command{.command = options.command, .pattern = {}};
  command.limit = std::chrono::seconds(positive("--timeout", options.timeout, kTimeout));
  if (options.pattern.empty()) return command;
  try {
    command.pattern = std::regex(options.pattern);
  } catch (const std::regex_error&) {
    refuse("--step-time-pattern", "must be a regular expression (ECMAScript)", options.pattern);
  }
  return command;
}

std::int64_t tried_steps(const TuneOptions& options) { return positive("--steps", options.steps, kSteps); }

int checked_rounds(const TuneOptions& options) { return positive("--check", options.check, 1); }

}  // namespace cli
