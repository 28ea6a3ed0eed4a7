#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/answer.h"
#include "models/recipes/recipe.h"
#include "models/run.h"

namespace cli {

/// `stepcast recipe show` and `stepcast recipe convert`.
struct RecipeOptions {
  std::string recipe;                        ///< file
  std::string format;                        ///< of it; empty: told from the text
  std::string model, system, gpus, release;  ///< what a recipe may not say
  std::vector<std::string> set;              ///< other fields of the run, KEY=VALUE
  std::string json;                          ///< show: where to write
  std::string to, out;                       ///< convert: `run` or a format, and where to write
};

/// Throws hw::InputError. Status kNo where the recipe and the flags leave out what a run needs.
Answer show_recipe(const RecipeOptions& options, const models::DataDirectory& data);
Answer convert_recipe(const RecipeOptions& options, const models::DataDirectory& data);

/// What is printed: docs/cli.md. `run` is nullptr where the description is not whole.
std::string recipe_text(const recipes::Imported& imported, const models::Run* run, std::size_t width,
                        std::size_t table_width);
std::string recipe_json(const recipes::Imported& imported, const models::Run* run);

}  // namespace cli
