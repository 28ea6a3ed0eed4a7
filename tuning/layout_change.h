#pragma once

#include <string>
#include <vector>

#include "models/recipes/value.h"
#include "models/run.h"
#include "search/answer.h"

namespace tuning {

/// One thing that a proposal says otherwise than the recipe.
struct Change {
  std::string field;  ///< of the run, dotted
  std::string before, after;
};

/// The recipe's run, laid out as a row of the search: only the fields that differ are other ones than in `run`, and
/// keep their spelling where they do not.
///   was  `run`, parsed
recipes::Value laid_out(const recipes::Value& run, const models::Run& was, const search::Row& row);

/// What one run says otherwise than the other, in the order of a run description: sizes, then the rest.
std::vector<Change> changes_of(const recipes::Value& before, const models::Run& was, const recipes::Value& after,
                               const models::Run& is);

}  // namespace tuning
