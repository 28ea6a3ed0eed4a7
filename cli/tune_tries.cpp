#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "cli/text_table.h"
#include "cli/tune.h"
#include "cli/wording.h"
#include "tuning/step_statistics.h"

namespace cli {
namespace {

using Align = TextTable::Align;
using tuning::Trial;

constexpr double kMilli = 1e-3;
constexpr std::size_t kShownOfAll = 5;

const tuning::Proposal& layout_of(const Tuned& tuned, std::size_t layout) {
  return layout == 0 ? tuned.proposals.own : tuned.proposals.others[layout - 1];
}

std::string name_of(const Tuned& tuned, std::size_t layout) {
  return layout == 0 ? "as the recipe has it" : changes_text(layout_of(tuned, layout).changes);
}

std::string_view word(tuning::TriesEnd end) {
  constexpr std::string_view kWords[] = {"certain", "all_used", "nothing_left", "stopped", "recipe_failed"};
  return kWords[static_cast<int>(end)];
}

std::string ending(const tuning::Tries& tries) {
  switch (tries.end) {
    case tuning::TriesEnd::certain:
      return fmt::format("certain enough: no untried layout may gain more than {}\n", percent_text(tries.left));
    case tuning::TriesEnd::all_used:
      return fmt::format("all tries are used: an untried layout may gain up to {}\n", percent_text(tries.left));
    case tuning::TriesEnd::nothing_left: return "every layout was tried\n";
    case tuning::TriesEnd::stopped: return "stopped: the best so far counts\n";
    case tuning::TriesEnd::recipe_failed: return "the recipe's own layout does not run: nothing to compare with\n";
  }
  return "";
}

std::string milliseconds(hw::Seconds time) { return four_digits(time.value / kMilli); }

void add_row(const Tuned& tuned, std::size_t index, TextTable& table) {
  const Trial& trial = tuned.tries->trials[index];
  const std::string mark = tuned.tries->pick == index ? "*" : "";
  if (!trial.failure.empty()) {
    table.add({std::to_string(index), mark, milliseconds(trial.predicted), "", "", "", "",
               name_of(tuned, trial.layout) + ": " + trial.failure});
    return;
  }
  table.add({std::to_string(index), mark, milliseconds(trial.predicted), milliseconds(trial.median),
             percent_number(trial.spread), fmt::format("{:.3f}", trial.ratio), milliseconds(trial.refitted),
             name_of(tuned, trial.layout)});
}

/// By how much a layout is slower than the best of all that were run.
std::optional<double> above_best(const Tuned& tuned, std::size_t layout) {
  const auto found = std::ranges::find(*tuned.all, layout, &tuning::Ranked::layout);
  if (found == tuned.all->end()) return std::nullopt;
  return found->time / tuned.all->front().time - 1;
}

/// Median over layouts of what two halves of their rounds differ by.
double noise_of(const std::vector<tuning::Ranked>& all) {
  std::vector<double> halves;
  halves.reserve(all.size());
  for (const tuning::Ranked& ranked : all) halves.push_back(ranked.halves);
  return tuning::median(std::move(halves));
}

std::string check_text(const Tuned& tuned, std::size_t width) {
  if (tuned.all == nullptr || tuned.all->empty()) return "";
  TextTable table({{"", Align::right}, {"measured ms", Align::right}, {"over the best %", Align::right}, {"layout"}});
  const double best = tuned.all->front().time;
  for (std::size_t i = 0; i < std::min(kShownOfAll, tuned.all->size()); ++i) {
    const tuning::Ranked& ranked = (*tuned.all)[i];
    table.add({std::to_string(i + 1), milliseconds({ranked.time}), percent_number(ranked.time / best - 1),
               name_of(tuned, ranked.layout)});
  }
  std::string out = fmt::format("\nall {} layouts that run, in rounds, best first\n", tuned.all->size());
  out += table.text(width, 2);
  if (const auto distance = distance_from_best(tuned))
    out += fmt::format("the pick is {} above the best of all, the recipe {}; two halves of the rounds differ by {}\n",
                       percent_text(*distance), percent_text(above_best(tuned, 0).value_or(0)),
                       percent_text(noise_of(*tuned.all)));
  return out;
}

void number_or_null(const char* key, double value, bool known, JsonWriter& json) {
  json.key(key);
  known ? json.value(value) : json.null();
}

void write_trial(const Tuned& tuned, const Trial& trial, JsonWriter& json) {
  const bool ran = trial.failure.empty();
  json.begin_object().member("layout", name_of(tuned, trial.layout));
  json.member("predicted_s", trial.predicted.value);
  number_or_null("measured_s", trial.median.value, ran, json);
  number_or_null("spread", trial.spread, ran, json);
  number_or_null("to_recipe", trial.ratio, ran, json);
  number_or_null("refitted_s", trial.refitted.value, ran, json);
  json.key("failure");
  ran ? json.null() : json.value(trial.failure);
  json.end_object();
}

}  // namespace

std::optional<double> distance_from_best(const Tuned& tuned) {
  if (tuned.all == nullptr || tuned.all->empty() || !tuned.tries->pick) return std::nullopt;
  return above_best(tuned, tuned.tries->trials[*tuned.tries->pick].layout);
}

std::string tries_text(const Tuned& tuned, std::size_t width) {
  if (tuned.tries == nullptr) return "";
  TextTable table({{"try", Align::right},
                   {""},
                   {"predicted ms", Align::right},
                   {"measured ms", Align::right},
                   {"spread %", Align::right},
                   {"to recipe", Align::right},
                   {"refitted ms", Align::right},
                   {"layout"}});
  for (std::size_t i = 0; i < tuned.tries->trials.size(); ++i) add_row(tuned, i, table);
  return table.text(width) + ending(*tuned.tries) + check_text(tuned, width) + "\n";
}

void write_tries(const Tuned& tuned, JsonWriter& json) {
  if (tuned.tries == nullptr) return;
  json.key("tries").begin_object().member("end", word(tuned.tries->end)).member("left", tuned.tries->left);
  json.key("pick");
  tuned.tries->pick ? json.value(static_cast<double>(*tuned.tries->pick)) : json.null();
  json.key("trials").begin_array();
  for (const Trial& trial : tuned.tries->trials) write_trial(tuned, trial, json);
  json.end_array().end_object();
  if (tuned.all == nullptr) return;
  json.key("check").begin_object();
  const auto distance = distance_from_best(tuned);
  number_or_null("above_best", distance.value_or(0), distance.has_value(), json);
  json.member("recipe_above_best", above_best(tuned, 0).value_or(0));
  json.member("halves_differ", noise_of(*tuned.all));
  json.key("layouts").begin_array();
  for (const tuning::Ranked& ranked : *tuned.all)
    json.begin_object().member("layout", name_of(tuned, ranked.layout)).member("measured_s", ranked.time).end_object();
  json.end_array().end_object();
}

}  // namespace cli
