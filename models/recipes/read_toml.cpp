#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "hw/error_text.h"
#include "models/recipes/document.h"
#include "models/recipes/scan.h"

namespace recipes {
namespace {

class TomlReader {
 public:
  explicit TomlReader(Document& document) : document_(document), text_(document.text) {
    for (std::size_t at = 0; at < text_.size(); at = line_end(text_, at)) line_starts_.push_back(at);
  }

  void read() {
    table(parse(), "", 0);
    std::stable_sort(document_.entries.begin(), document_.entries.end(),
                     [](const Entry& a, const Entry& b) { return a.line < b.line; });
    finish_sections();
  }

 private:
  toml::table parse() const {
    try {
      return toml::parse(text_);
    } catch (const toml::parse_error& error) {
      const int line = std::max(1, static_cast<int>(error.source().begin.line));
      document_.fail(line, "TOML: " + hw::shortened(hw::printable(error.description())));
    }
  }

  std::size_t offset(toml::source_position at) const {
    const std::size_t row = at.line > 0 ? at.line - 1 : 0;
    if (row >= line_starts_.size()) return text_.size();
    std::size_t byte = line_starts_[row];
    for (unsigned column = 1; column < at.column && byte < text_.size();) {
      ++byte;
      const bool continues = byte < text_.size() && (static_cast<unsigned char>(text_[byte]) & 0xc0) == 0x80;
      if (!continues) ++column;
    }
    return byte;
  }

  void table(const toml::table& table, const std::string& path, int depth) {
    if (depth > kMostNesting) document_.fail(1, "must not nest deeper than " + std::to_string(kMostNesting));
    for (const auto& [key, node] : table) value(key, node, path + std::string(key.str()), depth);
  }

  void value(const toml::key& key, const toml::node& node, const std::string& path, int depth) {
    if (const auto* inner = node.as_table()) {
      if (!inner->is_inline()) add_section(*inner, path);
      return this->table(*inner, path + ".", depth + 1);
    }
    const std::size_t key_at = offset(key.source().begin), at = offset(node.source().begin);
    const std::size_t end = end_of_value(text_, at, true);
    const bool is_found = key_at < at && at < text_.size() && end != std::string_view::npos;
    document_.add({.key = path,
                   .value = typed(node, depth),
                   .line = static_cast<int>(key.source().begin.line),
                   .value_at = is_found ? Span{at, end} : Span{},
                   .statement = {line_begin(text_, key_at), line_end(text_, is_found ? end : key_at)},
                   .editable = is_found,
                   .shown = std::string(is_found ? text_.substr(at, end - at) : std::string_view())});
  }

  void add_section(const toml::table& table, const std::string& path) {
    const std::size_t at = offset(table.source().begin);
    document_.sections.push_back(
        {.key = path, .line = document_.line_at(at), .header = {line_begin(text_, at), line_end(text_, at)}});
  }

  /// A new key goes behind the last of those that stand right below the table's header.
  void finish_sections() {
    std::map<std::string, std::size_t, std::less<>> ends;
    for (const Entry& entry : document_.entries) {
      std::size_t& end = ends[entry.key.substr(0, entry.key.rfind('.'))];
      if (entry.editable) end = std::max(end, entry.statement.end);
    }
    for (Section& section : document_.sections) section.end = std::max(section.header.end, ends[section.key]);
  }

  Value typed(const toml::node& node, int depth) const {
    if (const auto* flag = node.as_boolean()) return flag->get();
    if (const auto* integer = node.as_integer()) return integer->get();
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* number = node.as_floating_point()) {
      return std::isfinite(number->get()) ? Value(number->get()) : Value("not a finite number");
    }
    const auto* array = node.as_array();
    if (array == nullptr || depth > kMostNesting) return "a date or time";
    Value::List list;
    for (const toml::node& element : *array) list.push_back(typed(element, depth + 1));
    return list;
  }

  Document& document_;
  std::string_view text_;
  std::vector<std::size_t> line_starts_;
};

}  // namespace

void read_toml(Document& document) { TomlReader(document).read(); }

}  // namespace recipes
