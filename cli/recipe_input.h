#pragma once

#include <string>

#include "cli/recipe.h"
#include "models/recipes/recipe.h"

/// How the verbs that take a recipe read it, and what flags say of it.
namespace cli {

/// The file's text. Throws hw::InputError where it cannot be read or is larger than a recipe can be.
std::string read_recipe_text(const std::string& path);

/// A number, true, false, an array or an object as JSON writes it; anything else is a word.
recipes::Value flag_value(const std::string& text);

/// What --model, --system, --release, --gpus and --set say. Throws hw::InputError.
recipes::Overrides stated_overrides(const RecipeOptions& options);

/// `run` for what was a run description.
std::string format_name(const recipes::Imported& imported);

/// `tp, pp, vp`
std::string listed_fields(const std::vector<std::string>& fields);

}  // namespace cli
