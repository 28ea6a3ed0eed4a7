#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hw/node.h"
#include "models/recipes/value.h"
#include "models/run.h"

namespace recipes {

/// A run description in one spelling: `cuda_graph` and `optimizer` as objects, and nothing of what is for people or
/// was measured.
Value canonical(const hw::Node& run);

/// Fields that a recipe need not say, because they follow from others: dp, ga, counts per flush.
bool follows(std::string_view field);

/// Fields that `wanted` states and `got` does not state alike.
std::vector<std::string> differences(const Value& wanted, const Value& got);
/// Of these, those that would make another run of `got` (run_facts.h); `same` receives the others.
std::vector<std::string> differences_that_matter(const Value& wanted, const Value& got, models::Library& library,
                                                 std::vector<std::string>& same);

/// `/moe/dispatcher` as people write it: moe.dispatcher.
std::string dotted(std::string_view pointer);
/// The reverse; a pointer stays one.
std::string pointer_of(std::string field);

}  // namespace recipes
