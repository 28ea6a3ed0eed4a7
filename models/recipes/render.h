#pragma once

#include <string>
#include <string_view>

#include "models/recipes/document.h"
#include "models/recipes/writing.h"

namespace recipes {

/// A value as the syntax writes it. `was` is how it stood before, whose quotes are kept.
std::string literal_text(const Value& value, Syntax syntax, std::string_view was = {});

/// Whether a key with that value can stand in a text: TOML has no null, and a flag no empty list.
bool says_something(const Value& value, Syntax syntax);

/// A whole recipe of these keys, in their order; keys of one section stand together. Keys without a value are left out
/// where the syntax has no word for that.
std::string render(const Settings& settings, Syntax syntax, Format format);

/// Keys in nested mappings, each line indented by at least so much; and in tables.
std::string yaml_lines(const Settings& settings, std::size_t indent);
std::string toml_tables(const Settings& settings);

}  // namespace recipes
