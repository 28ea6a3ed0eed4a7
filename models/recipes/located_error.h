#pragma once

#include <string>
#include <vector>

#include "models/recipes/recipe.h"

namespace recipes {

/// The refusal of a run, `file: /tp: rule, got 3`, as one of the recipe that it came from: `file: line 7: key: rule,
/// got 3`. As it is where no key stated the field.
std::string located_error(const std::string& what, const std::string& file, const std::vector<Understood>& understood);

}  // namespace recipes
