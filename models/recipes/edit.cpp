#include "models/recipes/edit.h"

#include <algorithm>
#include <map>

#include "models/recipes/render.h"
#include "models/recipes/scan.h"

namespace recipes {
namespace {

struct Edit {
  Span at;
  std::string text;
};

class Editor {
 public:
  Editor(const Document& document, const std::vector<std::string_view>& order)
      : document_(document), text_(document.text), order_(order) {
    newline_ = text_.find("\r\n") == std::string_view::npos ? "\n" : "\r\n";
  }

  void change(const Change& change) {
    const Entry* entry = document_.find(change.key);
    const bool is_kept = change.value && says_something(*change.value, syntax_of_key(change.key));
    if (entry != nullptr && !is_kept) return remove(change.key);
    if (entry != nullptr) return replace(*entry, *change.value);
    if (is_kept) add(change.key, *change.value);
  }

  std::string text() && {
    add_new_sections();
    remove_empty_sections();
    std::stable_sort(edits_.begin(), edits_.end(),
                     [](const Edit& a, const Edit& b) { return a.at.begin < b.at.begin; });
    std::string result;
    std::size_t at = 0;
    for (const Edit& edit : edits_) {
      if (edit.at.begin < at && edit.at.end <= at) continue;  // goes with what is removed
      result += text_.substr(at, std::max(edit.at.begin, at) - at);
      result += edit.text;
      at = std::max(at, edit.at.end);
    }
    return result + std::string(text_.substr(at));
  }

 private:
  Syntax syntax_of_key(std::string_view key) const { return key.starts_with('@') ? Syntax::yaml : document_.syntax; }

  void replace(const Entry& entry, const Value& value) {
    if (entry.value == value) return;
    if (!entry.editable) document_.refuse(entry, "cannot be changed here: it is inherited or split over lines");
    const Syntax syntax = syntax_of_key(entry.key);
    const std::string_view was = text_.substr(entry.value_at.begin, entry.value_at.end - entry.value_at.begin);
    const bool is_switch =
        syntax == Syntax::shell && (entry.value == Value(true) || value == Value(true)) && entry.key.starts_with('-');
    if (is_switch) {
      const std::string rest = value == Value(true) ? "" : " " + literal_text(value, syntax);
      edits_.push_back({entry.statement, entry.key + rest});
    } else if (was.empty()) {
      edits_.push_back({entry.value_at, " " + literal_text(value, syntax)});
    } else if (syntax == Syntax::yaml && was.starts_with('-') && value.as<Value::List>() != nullptr) {
      edits_.push_back({entry.value_at, block_list(entry, *value.as<Value::List>())});
    } else {
      edits_.push_back({entry.value_at, value_text(entry, value, was)});
    }
  }

  /// An override's list is `[a,b]`, not words.
  std::string value_text(const Entry& entry, const Value& value, std::string_view was) const {
    const Syntax syntax = syntax_of_key(entry.key);
    if (syntax != Syntax::shell || entry.key.starts_with('-')) return literal_text(value, syntax, was);
    return override_text(value);
  }

  static std::string override_text(const Value& value) {
    std::string text = literal_text(value, value.as<Value::List>() != nullptr ? Syntax::yaml : Syntax::shell);
    std::erase(text, ' ');
    return text;
  }

  std::string block_list(const Entry& entry, const Value::List& list) const {
    if (list.empty()) return "[]";
    const std::size_t column = entry.value_at.begin - line_begin(text_, entry.value_at.begin);
    std::string result;
    for (const Value& element : list) {
      if (!result.empty()) result += newline_ + std::string(column, ' ');
      result += "- " + literal_text(element, Syntax::yaml);
    }
    return result;
  }

  /// All entries of the key: the one that counts hides those before it.
  void remove(const std::string& key) {
    for (const Entry& entry : document_.entries) {
      if (entry.key != key || !entry.reachable) continue;
      if (!entry.editable) document_.refuse(entry, "cannot be removed here: it is inherited or split over lines");
      removed_.push_back(&entry);
      edits_.push_back(
          {document_.syntax == Syntax::shell && !key.starts_with('@') ? flag_with_line(entry) : entry.statement, ""});
    }
  }

  /// A flag alone on its line goes with the line; the last one of a command with the `\` before it.
  Span flag_with_line(const Entry& entry) const {
    const std::size_t begin = line_begin(text_, entry.statement.begin), end = line_end(text_, entry.statement.end);
    const std::string_view before = stripped(text_.substr(begin, entry.statement.begin - begin));
    const std::string_view after = stripped(text_.substr(entry.statement.end, end - entry.statement.end));
    if (before.empty() && (after == "\\" || (after.empty() && entry.in_list))) return {begin, end};
    if (before.empty() && after.empty() && begin > 0) {
      std::size_t last = begin - 1;
      while (last > 0 && std::string_view(" \t\r\n\\").find(text_[last - 1]) != std::string_view::npos) --last;
      return {last, entry.statement.end};
    }
    std::size_t from = entry.statement.begin;
    while (from > begin && (text_[from - 1] == ' ' || text_[from - 1] == '\t')) --from;
    return {from, entry.statement.end};
  }

  void add(const std::string& key, const Value& value) {
    if (key.starts_with('@')) return add_annotation(key, value);
    switch (document_.syntax) {
      case Syntax::python: return add_python(key, value);
      case Syntax::shell: return add_flag(key, value);
      case Syntax::toml: return add_toml(key, value);
      default: return add_yaml(key, value);
    }
  }

  /// Behind the other lines of this kind, else below the comment that the text begins with.
  void add_annotation(const std::string& key, const Value& value) {
    std::size_t at = 0;
    while (at < text_.size() && text_[at] == '#') at = line_end(text_, at);
    for (const Entry& entry : document_.entries) {
      if (entry.key.starts_with('@')) at = std::max(at, entry.statement.end);
    }
    insert_line(at, "# stepcast: " + key.substr(1) + " = " + literal_text(value, Syntax::yaml));
  }

  void insert_line(std::size_t at, const std::string& line) {
    const bool needs_break = at > 0 && text_[at - 1] != '\n';
    edits_.push_back({{at, at}, (needs_break ? newline_ : "") + line + newline_});
  }

  /// The entry that a new key follows: of the same section, the nearest before it in the usual order, else the last.
  const Entry* anchor(const std::string& key, bool (*fits)(const Entry&, const std::string&)) const {
    const auto place = [this](std::string_view k) {
      return std::find(order_.begin(), order_.end(), k) - order_.begin();
    };
    const Entry* best = nullptr;
    for (const Entry& entry : document_.entries) {
      if (entry.key.starts_with('@') || !entry.editable || !entry.reachable || !fits(entry, key)) continue;
      const bool comes_before = place(entry.key) <= place(key);
      if (best == nullptr || (comes_before && (place(best->key) > place(key) || place(entry.key) >= place(best->key))))
        best = &entry;
    }
    return best;
  }

  static std::string section_of(const std::string& key) { return key.substr(0, key.rfind('.')); }
  static bool is_same_section(const Entry& entry, const std::string& key) {
    return section_of(entry.key) == section_of(key);
  }
  static bool is_any(const Entry&, const std::string&) { return true; }

  const Entry* neighbour(const std::string& key) const {
    const Entry* same = anchor(key, is_same_section);
    return same != nullptr ? same : anchor(key, is_any);
  }

  void add_python(const std::string& key, const Value& value) {
    const Entry* near = neighbour(key);
    std::string indent, receiver = "cfg";
    std::size_t at = text_.size();
    if (near != nullptr) {
      at = near->statement.end;
      const std::size_t begin = near->statement.begin;
      const std::size_t word = std::min(text_.find_first_not_of(" \t", begin), text_.size());
      indent = text_.substr(begin, word - begin);
      receiver = text_.substr(word, text_.find('.', word) - word);
    }
    insert_line(at, indent + receiver + "." + key + " = " + literal_text(value, Syntax::python));
  }

  /// Below the neighbour's line where flags stand one a line, else behind the neighbour.
  void add_flag(const std::string& key, const Value& value) {
    const std::string flag = key.starts_with('-')
                                 ? key + (value == Value(true) ? "" : " " + literal_text(value, Syntax::shell))
                                 : key + "=" + override_text(value);
    const Entry* near = neighbour(key);
    if (near == nullptr) document_.fail(1, key + ": cannot be added: the text has no other flag");
    const std::size_t end = near->statement.end, line = line_begin(text_, near->statement.begin);
    const std::string_view after = stripped(text_.substr(end, line_end(text_, end) - end));
    const std::string indent(text_.substr(line, std::min(text_.find_first_not_of(" \t", line), text_.size()) - line));
    const bool is_own_line = line_begin(text_, end) == line && line + indent.size() == near->statement.begin;
    if (is_own_line && after == "\\") {
      edits_.push_back({{line_end(text_, end), line_end(text_, end)}, indent + flag + " \\" + newline_});
    } else if (is_own_line && after.empty()) {
      edits_.push_back({{end, end}, (near->in_list ? "" : " \\") + newline_ + indent + flag});
    } else {
      edits_.push_back({{end, end}, " " + flag});
    }
  }

  void add_toml(const std::string& key, const Value& value) {
    const std::string table = section_of(key), word = key.substr(key.rfind('.') + 1);
    const std::string line = word + " = " + literal_text(value, Syntax::toml);
    const auto section = std::find_if(document_.sections.begin(), document_.sections.end(),
                                      [&table](const Section& s) { return s.key == table; });
    if (section == document_.sections.end()) {
      new_keys_[nullptr].emplace_back(key, value);
      return;
    }
    const Entry* near = anchor(key, is_same_section);
    insert_line(near != nullptr ? near->statement.end : section->end, line);
  }

  /// Into the deepest mapping that is there; those below it are made.
  void add_yaml(const std::string& key, const Value& value) {
    const Section* section = nullptr;
    for (const Section& candidate : document_.sections) {
      const bool holds = key.starts_with(candidate.key + ".");
      if (holds && (section == nullptr || candidate.key.size() > section->key.size())) section = &candidate;
    }
    if (section != nullptr && section->is_flow)
      document_.fail(section->line, section->key + ": cannot be given another key here: it is written in braces");
    const std::string rest = section == nullptr ? key : key.substr(section->key.size() + 1);
    if (section == nullptr || rest.find('.') != std::string::npos) {
      new_keys_[section].emplace_back(rest, value);
      return;
    }
    const Entry* near = anchor(key, is_same_section);
    insert_line(near != nullptr ? near->statement.end : section->end,
                std::string(section->indent, ' ') + rest + ": " + literal_text(value, Syntax::yaml));
  }

  /// Mappings and tables that are not there yet, with all their keys.
  void add_new_sections() {
    for (const auto& [section, keys] : new_keys_) {
      std::string lines = document_.syntax == Syntax::toml ? "\n" + toml_tables(keys)
                                                           : yaml_lines(keys, section == nullptr ? 0 : section->indent);
      if (section == nullptr && document_.syntax == Syntax::yaml) lines.insert(0, "\n");
      lines.pop_back();
      for (std::size_t at = lines.find('\n'); newline_.size() > 1 && at != std::string::npos;
           at = lines.find('\n', at + 2))
        lines.insert(at, "\r");
      insert_line(section == nullptr ? text_.size() : section->end, lines);
    }
  }

  /// YAML mappings of which every key goes, go too.
  void remove_empty_sections() {
    if (document_.syntax != Syntax::yaml || removed_.empty()) return;
    for (const Section& section : document_.sections) {
      const auto is_inside = [&](const Entry& entry) { return entry.key.starts_with(section.key + "."); };
      const bool all_go = std::all_of(document_.entries.begin(), document_.entries.end(), [&](const Entry& entry) {
        return !is_inside(entry) || std::find(removed_.begin(), removed_.end(), &entry) != removed_.end();
      });
      const bool gets_a_key = std::any_of(edits_.begin(), edits_.end(), [&section](const Edit& edit) {
        return !edit.text.empty() && edit.at.begin > section.header.begin && edit.at.begin <= section.end;
      });
      if (all_go && !gets_a_key) edits_.push_back({section.header, ""});
    }
  }

  const Document& document_;
  std::string_view text_;
  const std::vector<std::string_view>& order_;
  std::string newline_;
  std::vector<Edit> edits_;
  std::map<const Section*, Settings> new_keys_;  ///< by the section that they lie below; null: at the end
  std::vector<const Entry*> removed_;
};

}  // namespace

std::string edited(const Document& document, const std::vector<Change>& changes,
                   const std::vector<std::string_view>& order) {
  Editor editor(document, order);
  for (const Change& change : changes) editor.change(change);
  return std::move(editor).text();
}

}  // namespace recipes
