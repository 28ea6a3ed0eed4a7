#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/answer.h"
#include "cli/json_writer.h"
#include "cli/recipe.h"
#include "models/run.h"
#include "search/answer.h"
#include "tuning/exhaustive.h"
#include "tuning/proposal.h"
#include "tuning/tries.h"

namespace cli {

/// `stepcast tune`: a recipe with a better layout.
struct TuneOptions {
  RecipeOptions recipe;                         ///< its file, format and what it does not say; `json`, `out`
  std::vector<std::string> pin, space, forbid;  ///< KEY=VALUE; KEY=VALUE,VALUE; KEY=VALUE,KEY=VALUE
  std::string rerank, least_gain;               ///< as typed; empty: not given
  std::string tries, steps, rounds, enough;     ///< likewise: --try and how
  std::string command, pattern, timeout;        ///< likewise: what runs a layout
  std::string check;                            ///< likewise: rounds in which all layouts are run
  std::string profile;                          ///< as read_profile()
  int threads = 0;                              ///< 0: one a core
  bool quiet = false;
};

/// Throws hw::InputError. Status kNo where no layout is better than the recipe's.
Answer tune(const TuneOptions& options, const models::DataDirectory& data);

/// What is known when the search has ended.
struct Tuned {
  const tuning::Subject& subject;
  const search::Answer& answer;
  const tuning::Proposals& proposals;
  const tuning::Pick& pick;
  const tuning::Tries* tries = nullptr;              ///< nullptr: nothing was run
  const std::vector<tuning::Ranked>* all = nullptr;  ///< nullptr: no --check
};

/// What is printed: docs/tune.md.
std::string tuned_text(const Tuned& tuned, std::size_t width);
std::string tuned_json(const Tuned& tuned);
std::string tries_text(const Tuned& tuned, std::size_t width);
void write_tries(const Tuned& tuned, JsonWriter& json);
/// By how much the layout that was picked is slower than the best of all that were run; nothing where it did not run.
std::optional<double> distance_from_best(const Tuned& tuned);
/// `tp 2, fsdp 8`
std::string changes_text(const std::vector<tuning::Change>& changes);

}  // namespace cli
