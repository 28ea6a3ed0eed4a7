#include "models/recipes/document.h"

#include <algorithm>

#include "hw/error_text.h"
#include "hw/input_error.h"
#include "models/recipes/scan.h"

namespace recipes {
namespace {

constexpr std::size_t kMostBytes = std::size_t{4} << 20;

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  return text.starts_with(kMark) ? text.substr(kMark.size()) : text;
}

void check_text(const Document& document) {
  const std::string& text = document.text;
  if (text.size() > kMostBytes) document.fail(1, "a recipe must not be larger than 4 MiB");
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) document.fail(1, "is empty");
  if (const auto nul = text.find('\0'); nul != std::string::npos)
    document.fail(document.line_at(nul), "must be text, got a NUL byte");
  if (const auto bad = first_not_utf8(text); bad < text.size()) {
    document.fail(document.line_at(bad),
                  "must be UTF-8, got the byte " + hw::printable(std::string_view(text).substr(bad, 1), true));
  }
}

/// Lines `# stepcast: name = value`: facts that frameworks do not write into their recipes.
void read_annotations(Document& document) {
  const std::string_view text = document.text;
  constexpr std::string_view kMark = "# stepcast:";
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::size_t at = text.find_first_not_of(" \t", begin);
    if (at != std::string_view::npos && at < end && text.substr(at).starts_with(kMark)) {
      const int line = document.line_at(begin);
      const std::size_t sign = text.find('=', at);
      if (sign == std::string_view::npos || sign >= end) document.fail(line, "must be `# stepcast: name = value`");
      const std::string key = "@" + std::string(stripped(text.substr(at + kMark.size(), sign - at - kMark.size())));
      const std::string_view value = stripped(text.substr(sign + 1, end - sign - 1));
      if (value.empty()) document.fail(line, "must be `# stepcast: name = value`");
      const auto from = static_cast<std::size_t>(value.data() - text.data());
      document.add({.key = key,
                    .value = literal(value),
                    .line = line,
                    .value_at = {from, from + value.size()},
                    .statement = {begin, std::min(end + 1, text.size())},
                    .shown = std::string(value)});
    }
    begin = end + 1;
  }
}

}  // namespace

const Entry* Document::find(std::string_view key) const {
  const auto found = counted.find(key);
  return found == counted.end() ? nullptr : &entries[found->second];
}

int Document::line_at(std::size_t byte) const {
  const auto next = std::upper_bound(line_starts.begin(), line_starts.end(), byte);
  return std::max(1, static_cast<int>(next - line_starts.begin()));
}

void Document::add(Entry entry) {
  if (entries.size() >= kMostEntries)
    fail(entry.line, "must not have more than " + std::to_string(kMostEntries) + " keys");
  entries.push_back(std::move(entry));
}

void Document::fail(int line, const std::string& what) const {
  throw hw::InputError(hw::printable(file) + ": line " + std::to_string(line) + ": " + what);
}

void Document::refuse(const Entry& entry, const std::string& rule) const {
  const std::string got = entry.shown.empty() ? "nothing" : hw::shortened(hw::printable(entry.shown));
  fail(entry.line, hw::shortened(hw::printable(entry.key)) + ": " + rule + ", got " + got);
}

Document parse_document(std::string_view text, const std::string& file, Syntax syntax) {
  Document document{.syntax = syntax, .file = file, .text = std::string(without_byte_order_mark(text))};
  for (std::size_t at = 0; at < document.text.size(); at = line_end(document.text, at))
    document.line_starts.push_back(at);
  check_text(document);
  if (syntax != Syntax::json) read_annotations(document);
  switch (syntax) {
    case Syntax::python: read_python(document); break;
    case Syntax::shell: read_shell(document); break;
    case Syntax::toml: read_toml(document); break;
    default: read_yaml(document);
  }
  for (std::size_t i = 0; i < document.entries.size(); ++i) {
    if (document.entries[i].reachable) document.counted.insert_or_assign(document.entries[i].key, i);
  }
  return document;
}

}  // namespace recipes
