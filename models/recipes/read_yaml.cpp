#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "hw/error_text.h"
#include "hw/node.h"
#include "models/recipes/document.h"
#include "models/recipes/scan.h"

namespace recipes {
namespace {

/// Keys of YAML (and JSON, which is YAML in flow style) with their places in the text.
class YamlReader {
 public:
  explicit YamlReader(Document& document) : document_(document), text_(document.text) {}

  void read() {
    const YAML::Node root = parse();
    if (!root.IsMap()) document_.fail(1, "must be keys with values");
    mapping(root, "", 0, false);
  }

 private:
  /// yaml-cpp's own limit is deeper than its stack is safe for, and it does not mind a flow collection that stays open.
  void check_nesting() const {
    int depth = 0;
    for (std::size_t i = 0; i < text_.size(); ++i) {
      if (text_[i] == '[' || text_[i] == '{') {
        if (++depth > kMostNesting) document_.fail(document_.line_at(i), nesting_rule());
      } else if ((text_[i] == ']' || text_[i] == '}') && depth > 0) {
        --depth;
      } else if (text_[i] == '\n' && line_opens_more_than_allowed(i + 1)) {
        document_.fail(document_.line_at(i + 1), nesting_rule());
      }
    }
  }

  /// `- - - - ...`, `? ? ? ...` nest on one line.
  bool line_opens_more_than_allowed(std::size_t begin) const {
    int marks = 0;
    for (std::size_t i = begin; i < text_.size() && text_[i] != '\n'; ++i) {
      const char c = text_[i];
      if (c == '-' || c == '?') {
        if (++marks > kMostNesting) return true;
      } else if (c != ' ' && c != '\t') {
        return false;
      }
    }
    return false;
  }

  static std::string nesting_rule() { return "must not nest deeper than " + std::to_string(kMostNesting); }

  YAML::Node parse() const {
    check_nesting();
    if (line_opens_more_than_allowed(0)) document_.fail(1, nesting_rule());
    try {
      return YAML::Load(document_.text);
    } catch (const YAML::Exception& error) {
      const int line = error.mark.is_null() ? 1 : error.mark.line + 1;
      document_.fail(line, std::string(document_.syntax == Syntax::json ? "JSON" : "YAML") + ": " +
                               hw::shortened(hw::printable(error.msg)));
    }
  }

  static std::size_t place(const YAML::Node& node) {
    return node.Mark().is_null() ? std::string::npos : static_cast<std::size_t>(node.Mark().pos);
  }

  void mapping(const YAML::Node& map, const std::string& path, int depth, bool inherited) {
    if (depth > kMostNesting) document_.fail(document_.line_at(place(map)), nesting_rule());
    std::set<std::string> seen;
    for (const auto& member : map) {
      const std::string key = key_text(member.first);
      if (key == "<<") continue;
      if (!seen.insert(key).second) {
        document_.fail(document_.line_at(place(member.first)),
                       hw::shortened(hw::printable(path + key)) + ": must be given once, is given twice");
      }
      const bool is_alias = place(member.second) < place(member.first);
      value(member.first, member.second, path + key, depth, inherited || is_alias);
    }
    for (const auto& member : map) {
      if (key_text(member.first) == "<<") merge(member.second, path, depth, seen);
    }
  }

  std::string key_text(const YAML::Node& key) const {
    if (!key.IsScalar()) document_.fail(document_.line_at(place(key)), "a key must be a word");
    return key.Scalar();
  }

  /// What `<<: *other` brings, less what the mapping states itself.
  void merge(const YAML::Node& other, const std::string& path, int depth, const std::set<std::string>& stated) {
    if (!other.IsMap()) document_.fail(document_.line_at(place(other)), "<<: must be a mapping");
    if (depth > kMostNesting) document_.fail(document_.line_at(place(other)), nesting_rule());
    for (const auto& member : other) {
      const std::string key = key_text(member.first);
      if (!stated.contains(key)) value(member.first, member.second, path + key, depth + 1, true);
    }
  }

  void value(const YAML::Node& key, const YAML::Node& node, const std::string& path, int depth, bool inherited) {
    if (document_.sections.size() >= kMostEntries)
      document_.fail(document_.line_at(place(key)), "has too many mappings");
    if (node.IsMap() && node.size() > 0) {
      const std::size_t first = document_.entries.size(), index = document_.sections.size();
      document_.sections.push_back(
          {.key = path, .line = document_.line_at(place(key)), .header = line_span(place(key))});
      mapping(node, path + ".", depth + 1, inherited);
      finish_section(index, first, node);
    } else if (node.IsSequence() && holds_mappings(node)) {
      int index = 0;
      for (const auto& element : node) value(key, element, path + "." + std::to_string(index++), depth + 1, true);
    } else {
      scalar_or_list(key, node, path, depth, inherited);
    }
  }

  static bool holds_mappings(const YAML::Node& node) {
    return std::any_of(node.begin(), node.end(), [](const YAML::Node& e) { return e.IsMap(); });
  }

  Span line_span(std::size_t byte) const { return {line_begin(text_, byte), line_end(text_, byte)}; }

  void finish_section(std::size_t index, std::size_t first, const YAML::Node& map) {
    Section& section = document_.sections[index];
    section.is_flow = map.Style() == YAML::EmitterStyle::Flow;
    section.end = section.header.end;
    for (std::size_t i = first; i < document_.entries.size(); ++i) {
      if (document_.entries[i].editable) section.end = std::max(section.end, document_.entries[i].statement.end);
    }
    const std::size_t at = place(map.begin()->first);
    section.indent = at - line_begin(text_, at);
  }

  void scalar_or_list(const YAML::Node& key, const YAML::Node& node, const std::string& path, int depth,
                      bool inherited) {
    Entry entry{.key = path, .line = document_.line_at(place(key))};
    entry.value = typed(node, depth);
    const std::size_t at = place(node);
    entry.value_at = inherited ? Span{} : span_of(key, node, at);
    entry.editable = !inherited && entry.value_at.begin < entry.value_at.end;
    if (!inherited && node.IsNull()) entry.editable = true;
    const std::size_t begin = line_begin(text_, place(key));
    entry.statement = {begin, line_end(text_, std::max(entry.value_at.end, place(key)))};
    entry.shown = node.IsScalar() ? node.Scalar() : json(entry.value);
    document_.add(std::move(entry));
  }

  /// Of a value that stands behind its key; empty where its place cannot be told.
  Span span_of(const YAML::Node& key, const YAML::Node& node, std::size_t at) const {
    if (node.IsNull()) return span_of_null(key);
    if (at >= text_.size()) return {};
    if (node.IsSequence() && text_[at] == '-') return {at, end_of_block_list(node, at)};
    const std::size_t end = end_of_value(text_, at, true);
    if (end == std::string_view::npos) return {};
    const bool is_plain = node.IsScalar() && text_[at] != '"' && text_[at] != '\'';
    if (is_plain && text_.substr(at, node.Scalar().size()) == node.Scalar()) return {at, at + node.Scalar().size()};
    return is_plain ? Span{} : Span{at, end};
  }

  /// `key:` with nothing, `~` or `null` behind it.
  Span span_of_null(const YAML::Node& key) const {
    const std::size_t colon = text_.find(':', place(key) + key.Scalar().size());
    if (colon == std::string_view::npos) return {};
    const std::size_t at = text_.find_first_not_of(" \t", colon + 1);
    for (const std::string_view word : {"null", "Null", "NULL", "~"}) {
      if (at != std::string_view::npos && text_.substr(at).starts_with(word)) return {at, at + word.size()};
    }
    return {colon + 1, colon + 1};
  }

  std::size_t end_of_block_list(const YAML::Node& list, std::size_t at) const {
    std::size_t end = at;
    for (const auto& element : list) {
      const std::size_t from = place(element);
      if (from < text_.size()) end = std::max(end, end_of_value(text_, from, false));
    }
    return std::min(end, text_.size());
  }

  Value typed(const YAML::Node& node, int depth) const {
    if (depth > kMostNesting) document_.fail(document_.line_at(place(node)), nesting_rule());
    if (node.IsScalar()) return node.Tag() == "!" ? Value(node.Scalar()) : word(node.Scalar());
    if (!node.IsSequence()) return {};
    if (node.size() > kMostEntries)
      document_.fail(document_.line_at(place(node)),
                     "must not have more than " + std::to_string(kMostEntries) + " keys");
    Value::List list;
    for (const auto& element : node) list.push_back(typed(element, depth + 1));
    return list;
  }

  /// A plain scalar: YAML has no lists or quotes left in it.
  static Value word(const std::string& text) {
    const bool is_word = text.empty() || std::string_view("[('\"").find(text.front()) == std::string_view::npos;
    return is_word ? literal(text) : Value(text);
  }

  Document& document_;
  std::string_view text_;
};

}  // namespace

void read_yaml(Document& document) {
  if (document.syntax == Syntax::json) hw::Node::parse(document.text, document.file);  // JSON is stricter than YAML
  YamlReader(document).read();
}

}  // namespace recipes
