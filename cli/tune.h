#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/answer.h"
#include "cli/recipe.h"
#include "models/run.h"
#include "search/answer.h"
#include "tuning/proposal.h"

namespace cli {

/// `stepcast tune`: a recipe with a better layout.
struct TuneOptions {
  RecipeOptions recipe;                         ///< its file, format and what it does not say; `json`, `out`
  std::vector<std::string> pin, space, forbid;  ///< KEY=VALUE; KEY=VALUE,VALUE; KEY=VALUE,KEY=VALUE
  std::string rerank;                           ///< as typed; empty: not given
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
};

/// What is printed: docs/tune.md.
std::string tuned_text(const Tuned& tuned, std::size_t width);
std::string tuned_json(const Tuned& tuned);

}  // namespace cli
