#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/recipes/value.h"

namespace tuning {

/// A place in a JSON document (JSON pointer, objects only) and what is to stand there; without a value it goes.
using JsonChange = std::pair<std::string, std::optional<recipes::Value>>;

/// The text of a JSON object with these changes and no other: order, spaces and line breaks of the rest stay, byte by
/// byte. New members go behind the last one of their object. Precondition: valid JSON without duplicate keys.
std::string with_changes(std::string text, const std::vector<JsonChange>& changes);

/// What makes one object of the other, a change for each leaf.
std::vector<JsonChange> changes_between(const recipes::Value& before, const recipes::Value& after);

}  // namespace tuning
