#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hw {

/// Control characters become \xNN, so that an error stays one line; with `ascii`, so do bytes above 0x7f.
std::string printable(std::string_view text, bool ascii = false);

/// The text, or its start and `...` where it is longer than 60 bytes. Never cuts through a UTF-8 character.
std::string shortened(std::string text);

/// One step of a JSON pointer (RFC 6901, section 3): `/` and the key, with ~ and / escaped.
std::string pointer_step(std::string_view key);

/// `line L, column C` of a byte, both from 1; columns count UTF-8 characters. Only `column C` with `is_one_line`.
std::string place(std::string_view text, std::size_t byte, bool is_one_line);

/// The word (letters, digits, _) that holds a byte of `text`, or that byte alone. Precondition: byte < text.size().
std::string_view word_at(std::string_view text, std::size_t byte);

}  // namespace hw
