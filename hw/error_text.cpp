#include "hw/error_text.h"

#include <algorithm>
#include <cctype>

namespace hw {
namespace {

constexpr std::size_t kShownLength = 60;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

std::string printable(std::string_view text, bool ascii) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (ascii && byte > 0x7f)) {
      result += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      result += c;
    }
  }
  return result;
}

std::string shortened(std::string text) {
  if (text.size() <= kShownLength) return text;
  std::size_t end = kShownLength - 3;
  while (end > 0 && continues_character(text[end])) --end;
  return text.substr(0, end) + "...";
}

std::string pointer_step(std::string_view key) {
  std::string step = "/";
  for (const char c : key) {
    if (c == '~') {
      step += "~0";
    } else if (c == '/') {
      step += "~1";
    } else {
      step += c;
    }
  }
  return step;
}

std::string place(std::string_view text, std::size_t byte, bool is_one_line) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const std::size_t newline = before.rfind('\n');
  const std::string_view row = newline == std::string_view::npos ? before : before.substr(newline + 1);
  const auto column = 1 + std::count_if(row.begin(), row.end(), [](char c) { return !continues_character(c); });
  const std::string column_text = "column " + std::to_string(column);
  if (is_one_line) return column_text;
  return "line " + std::to_string(1 + std::count(before.begin(), before.end(), '\n')) + ", " + column_text;
}

std::string_view word_at(std::string_view text, std::size_t byte) {
  const auto in_word = [text](std::size_t i) {
    return i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '_');
  };
  std::size_t begin = byte;
  std::size_t end = byte + 1;
  if (in_word(byte)) {
    while (begin > 0 && in_word(begin - 1)) --begin;
    while (in_word(end)) ++end;
  }
  return text.substr(begin, end - begin);
}

}  // namespace hw
