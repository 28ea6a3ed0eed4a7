#include "cli/tune.h"

#include <atomic>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/data_directory.h"
#include "cli/output_file.h"
#include "cli/recipe_input.h"
#include "cli/search_progress.h"
#include "cli/stop_signals.h"
#include "cli/terminal.h"
#include "hw/error_text.h"
#include "hw/input_error.h"
#include "tuning/query.h"

namespace cli {
namespace {

using recipes::Value;

constexpr int kRerank = 50;  ///< layouts predicted by events where nothing is said

[[noreturn]] void refuse(const std::string& flag, const std::string& rule, const std::string& got) {
  throw hw::InputError(flag + ": " + rule + ", got " + hw::shortened(hw::printable(got)));
}

int positive(const std::string& flag, const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1)
    refuse(flag, "must be a positive integer", text);
  return value;
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

/// `1,2,4`, or a JSON array.
Value values_of(const std::string& text) {
  const Value whole = flag_value(text);
  if (whole.as<Value::List>()) return whole;
  if (text.starts_with('{')) return Value::List{whole};
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

tuning::Bounds bounds_of(const TuneOptions& options) {
  tuning::Bounds bounds;
  for (const std::string& text : options.pin) {
    const auto [key, value] = key_and_value("--pin", text);
    bounds.pin.emplace_back(key, flag_value(value));
  }
  for (const std::string& text : options.space) {
    const auto [key, value] = key_and_value("--space", text);
    bounds.space.emplace_back(key, values_of(value));
  }
  for (const std::string& text : options.forbid) bounds.forbid.push_back(condition_of(text));
  bounds.rerank = options.rerank.empty() ? kRerank : positive("--rerank", options.rerank);
  return bounds;
}

tuning::Subject subject_of(const TuneOptions& options, models::Library& library) {
  const RecipeOptions& recipe = options.recipe;
  if (recipe.recipe.empty()) throw hw::InputError("tune: needs RECIPE, the file of a recipe or a run (docs/tune.md)");
  std::optional<recipes::Format> format;
  if (!recipe.format.empty()) format = recipes::parse_format(recipe.format);
  return {read_recipe_text(recipe.recipe), recipe.recipe, format, stated_overrides(recipe), library};
}

search::Answer searched(const TuneOptions& options, const tuning::Subject& subject, models::Library& library,
                        const hw::Node& profile) {
  const hw::Node query = tuning::query_around(subject.run(), bounds_of(options), subject.file(), library);
  SearchProgress shown(options.quiet);
  std::atomic<bool> stop = false;
  const StopSignals signals([&] { stop = true; });
  const search::Progress progress{.report = [&](const search::Found& found) { shown.show(found); }, .stop = &stop};
  return search::search(search::parse_query(query, library), library, profile, options.threads, progress);
}

/// The recipe goes to --out, else to stdout; what is said of it goes to stdout, unless the recipe is there.
Answer answer_of(const TuneOptions& options, const Tuned& tuned) {
  const bool to_stdout = options.recipe.out.empty();
  Answer answer;
  std::string report = tuned_text(tuned, page_width().table);
  place_json(options.recipe.json, tuned_json(tuned), report);
  (to_stdout ? answer.diagnostics : answer.out) = std::move(report);
  if (tuned.pick.proposal == nullptr) {
    answer.status = kNo;
    return answer;
  }
  if (to_stdout) answer.out = tuned.pick.text;
  else write_file(options.recipe.out, tuned.pick.text);
  return answer;
}

}  // namespace

Answer tune(const TuneOptions& options, const models::DataDirectory& data) {
  if (options.threads < 0) refuse("--threads", "must be a positive integer", std::to_string(options.threads));
  if (options.recipe.json == "-" && options.recipe.out.empty())
    throw hw::InputError("--json: must be a file where the recipe goes to stdout (no --out), got -");
  models::Library library(data);
  const hw::Node profile = read_profile(options.profile, data);
  const tuning::Subject subject = subject_of(options, library);
  if (!subject.missing().empty())
    return {.status = kNo,
            .diagnostics = "a run also needs " + listed_fields(subject.missing()) +
                           "; state --model, --system, --gpus or --set\n"};
  subject.checked(library);
  const search::Answer found = searched(options, subject, library, profile);
  const tuning::Proposals proposals = tuning::proposals_of(subject, found, library, profile);
  const tuning::Pick pick = tuning::pick(subject, proposals, library);
  return answer_of(options, {subject, found, proposals, pick});
}

}  // namespace cli
