#include "cli/tune.h"

#include <atomic>
#include <cstdio>
#include <optional>
#include <utility>

#include "cli/data_directory.h"
#include "cli/output_file.h"
#include "cli/recipe_input.h"
#include "cli/search_progress.h"
#include "cli/stop_signals.h"
#include "cli/terminal.h"
#include "cli/tune_flags.h"
#include "cli/tune_measure.h"
#include "hw/input_error.h"
#include "tuning/query.h"

namespace cli {
namespace {

tuning::Subject subject_of(const TuneOptions& options, models::Library& library) {
  const RecipeOptions& recipe = options.recipe;
  if (recipe.recipe.empty()) throw hw::InputError("tune: needs RECIPE, the file of a recipe or a run (docs/tune.md)");
  std::optional<recipes::Format> format;
  if (!recipe.format.empty()) format = recipes::parse_format(recipe.format);
  return {read_recipe_text(recipe.recipe), recipe.recipe, format, stated_overrides(recipe), library};
}

search::Answer searched(const TuneOptions& options, const tuning::Subject& subject, models::Library& library,
                        const hw::Node& profile) {
  const hw::Node query = tuning::query_around(subject.run(), tune_bounds(options), subject.file(), library);
  SearchProgress shown(options.quiet);
  std::atomic<bool> stop = false;
  const StopSignals signals([&] { stop = true; });
  const search::Progress progress{.report = [&](const search::Found& found) { shown.show(found); }, .stop = &stop};
  return search::search(search::parse_query(query, library), library, profile, options.threads, progress);
}

/// What was found on paper, and then by runs.
struct Outcome {
  tuning::Pick pick;
  std::optional<tuning::Tries> tries = {};
  std::optional<std::vector<tuning::Ranked>> all = {};
};

/// The pick of the tries in place of the predicted one.
void take_pick(const tuning::Subject& subject, const tuning::Proposals& proposals, models::Library& library,
               Outcome& outcome) {
  outcome.pick.proposal = nullptr;
  outcome.pick.text.clear();
  if (!outcome.tries->pick) return;
  const std::size_t layout = outcome.tries->trials[*outcome.tries->pick].layout;
  if (layout == 0) return;
  outcome.pick.proposal = &proposals.others[layout - 1];
  outcome.pick.text = subject.saying(outcome.pick.proposal->description, library);
}

void try_for_real(const TuneOptions& options, const tuning::Subject& subject, const tuning::Proposals& proposals,
                  models::Library& library, Outcome& outcome) {
  const StopSignals signals([&] { std::fputs("stopping: the best so far counts\n", stderr); });
  const TrialCommand command = trial_command(options);
  tuning::TryPlan plan = try_plan(options);
  plan.stop_asked = [&] { return signals.asked(); };
  plan.note = [&](const std::string& what) {
    if (!options.quiet) std::fprintf(stderr, "running %s\n", what.c_str());
  };
  const tuning::Measure measure = options.command.empty()
                                      ? by_training(tried_steps(options), subject, library, plan.stop_asked)
                                      : by_command(command, subject, library, plan.stop_asked);
  outcome.tries = tuning::try_layouts(proposals, plan, measure);
  take_pick(subject, proposals, library, outcome);
  if (!options.check.empty() && !plan.stop_asked())
    outcome.all = tuning::run_all(proposals, plan, checked_rounds(options), measure);
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
  check_tune_flags(options);
  models::Library library(data);
  const hw::Node profile = read_profile(options.profile, data);
  const tuning::Subject subject = subject_of(options, library);
  if (!subject.missing().empty())
    return {.status = kNo,
            .diagnostics = "a run also needs " + listed_fields(subject.missing()) +
                           "; state --model, --system, --gpus or --set\n"};
  check_triable(options, subject.file(), subject.checked(library));
  const search::Answer found = searched(options, subject, library, profile);
  const tuning::Proposals proposals = tuning::proposals_of(subject, found, library, profile);
  Outcome outcome{.pick = tuning::pick(subject, proposals, least_gain(options), library)};
  if (!options.tries.empty() && found.complete()) try_for_real(options, subject, proposals, library, outcome);
  return answer_of(options, {subject, found, proposals, outcome.pick, outcome.tries ? &*outcome.tries : nullptr,
                             outcome.all ? &*outcome.all : nullptr});
}

}  // namespace cli
