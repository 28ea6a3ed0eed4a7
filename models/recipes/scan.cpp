#include "models/recipes/scan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "models/recipes/document.h"

namespace recipes {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

int continuation_bytes(unsigned char lead) {
  if (lead < 0x80) return 0;
  if (lead >= 0xc2 && lead < 0xe0) return 1;
  if (lead >= 0xe0 && lead < 0xf0) return 2;
  if (lead >= 0xf0 && lead < 0xf5) return 3;
  return -1;
}

/// Overlong forms, surrogates and code points above U+10FFFF show in the second byte.
bool second_is_allowed(unsigned char lead, unsigned char second) {
  if (lead == 0xe0) return second >= 0xa0;
  if (lead == 0xed) return second < 0xa0;
  if (lead == 0xf0) return second >= 0x90;
  if (lead == 0xf4) return second < 0x90;
  return true;
}

std::size_t end_of_quoted(std::string_view text, std::size_t byte) {
  const char quote = text[byte];
  for (std::size_t i = byte + 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (text[i] == quote) {
      if (quote != '\'' || i + 1 >= text.size() || text[i + 1] != quote) return i + 1;
      ++i;  // YAML doubles a quote inside
    }
  }
  return std::string_view::npos;
}

std::size_t end_of_brackets(std::string_view text, std::size_t byte) {
  int depth = 0;
  for (std::size_t i = byte; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      const std::size_t end = end_of_quoted(text, i);
      if (end == std::string_view::npos) return end;
      i = end - 1;
    } else if (c == '#' && i > 0 && kBlanks.find(text[i - 1]) != std::string_view::npos) {
      i = std::min(text.find('\n', i), text.size() - 1);
    } else if (c == '[' || c == '(' || c == '{') {
      ++depth;
    } else if (c == ']' || c == ')' || c == '}') {
      if (--depth == 0) return i + 1;
    }
  }
  return std::string_view::npos;
}

std::string unquoted(std::string_view text) {
  const char quote = text.front();
  std::string result;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"' && i + 2 < text.size()) {
      ++i;
      result += text[i] == 'n' ? '\n' : text[i] == 't' ? '\t' : text[i];
    } else {
      result += text[i];
      if (text[i] == '\'' && quote == '\'') ++i;
    }
  }
  return result;
}

Value bare_word(std::string_view word) {
  Value value;
  if (word.empty() || word == "null" || word == "~" || word == "Null" || word == "NULL" || word == "None") return value;
  if (word == "true" || word == "True" || word == "TRUE") return true;
  if (word == "false" || word == "False" || word == "FALSE") return false;
  return parse_number(word, value) ? value : Value(word);
}

}  // namespace

std::size_t line_begin(std::string_view text, std::size_t byte) {
  if (byte == 0) return 0;
  const std::size_t before = text.rfind('\n', byte - 1);
  return before == std::string_view::npos ? 0 : before + 1;
}

std::size_t line_end(std::string_view text, std::size_t byte) {
  const std::size_t end = text.find('\n', byte);
  return end == std::string_view::npos ? text.size() : end + 1;
}

std::string_view stripped(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return text.substr(0, 0);
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::size_t first_not_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int more = continuation_bytes(lead);
    if (more < 0 || i + static_cast<std::size_t>(more) >= text.size()) return i;
    for (int k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(text[i + static_cast<std::size_t>(k)]);
      if ((next & 0xc0) != 0x80 || (k == 1 && !second_is_allowed(lead, next))) return i;
    }
    i += static_cast<std::size_t>(more) + 1;
  }
  return text.size();
}

bool parse_number(std::string_view text, Value& value) {
  std::string digits;
  std::copy_if(text.begin(), text.end(), std::back_inserter(digits), [](char c) { return c != '_'; });
  if (text.empty() || text.front() == '_' || text.back() == '_') return false;
  const std::size_t first = digits.find_first_of("0123456789");
  if (first == std::string::npos || first > 2) return false;  // no `inf`, no `nan`
  const char* begin = digits.data() + (digits.front() == '+' ? 1 : 0);
  const char* end = digits.data() + digits.size();
  double number = 0;
  const auto [rest, error] = std::from_chars(begin, end, number);
  if (rest != end || error != std::errc() || !std::isfinite(number)) return false;
  value = Value(number);
  return true;
}

std::size_t end_of_value(std::string_view text, std::size_t byte, bool in_brackets) {
  if (byte >= text.size()) return byte;
  if (text[byte] == '"' || text[byte] == '\'') return end_of_quoted(text, byte);
  if (text[byte] == '[' || text[byte] == '(' || text[byte] == '{') return end_of_brackets(text, byte);
  std::size_t end = byte;
  for (; end < text.size() && text[end] != '\n'; ++end) {
    const char c = text[end];
    if (c == '#' && end > byte && kBlanks.find(text[end - 1]) != std::string_view::npos) break;
    if (in_brackets && (c == ',' || c == ']' || c == '}')) break;
  }
  return byte + stripped(text.substr(byte, end - byte)).size();
}

Value literal(std::string_view text, int depth) {
  text = stripped(text);
  if (text.empty()) return {};
  const char first = text.front();
  const bool whole = end_of_value(text, 0, false) == text.size();
  if ((first == '"' || first == '\'') && text.size() > 1 && whole) return unquoted(text);
  const bool is_list = (first == '[' && text.back() == ']') || (first == '(' && text.back() == ')');
  if (!is_list || !whole || depth > kMostNesting) return bare_word(text);
  Value::List list;
  for (std::size_t at = 1; at + 1 < text.size();) {
    at = text.find_first_not_of(" \t\r\n,", at);
    if (at == std::string_view::npos || at + 1 >= text.size()) break;
    if (text[at] == '#') {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    const std::size_t end = std::min(end_of_value(text, at, true), text.size() - 1);
    list.push_back(literal(text.substr(at, end - at), depth + 1));
    at = std::max(end, at + 1);
  }
  return list;
}

}  // namespace recipes
