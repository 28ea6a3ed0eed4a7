#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "models/recipes/value.h"

namespace recipes {

/// Where the line of a byte begins, and where the next one does.
std::size_t line_begin(std::string_view text, std::size_t byte);
std::size_t line_end(std::string_view text, std::size_t byte);

/// Without blanks at its ends.
std::string_view stripped(std::string_view text);

/// The first byte that is no part of a UTF-8 character; text.size() where all are.
std::size_t first_not_utf8(std::string_view text);

/// Whether a number, and nothing else, stands there: `8`, `-1`, `1e-4`, `1_000`.
bool parse_number(std::string_view text, Value& value);

/// Where a quoted text ends (after its quote), a bracketed list (after its bracket), or an unquoted word (before blanks
/// and `#` or, inside brackets, before `,` and the closing bracket). npos where quote or bracket stays open.
///   byte  where it begins
std::size_t end_of_value(std::string_view text, std::size_t byte, bool in_brackets);

/// The value that stands in all of `text`, as Python, YAML's flow style and TOML write it: a quoted text, a list in
/// brackets or parentheses, or a plain value. Deeper lists than 64 are plain text.
Value literal(std::string_view text, int depth = 0);

}  // namespace recipes
