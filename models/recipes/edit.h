#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/recipes/document.h"

namespace recipes {

/// A key with its new value; without one it goes.
struct Change {
  std::string key;
  std::optional<Value> value;
};

/// The document's text with these keys changed and all else as it is, byte by byte.
///   order  keys as they usually follow each other: a new key is put behind the nearest one that comes before it
/// Throws hw::InputError where a key cannot be changed at its place: inherited, split over lines, in a flow mapping.
std::string edited(const Document& document, const std::vector<Change>& changes,
                   const std::vector<std::string_view>& order);

}  // namespace recipes
