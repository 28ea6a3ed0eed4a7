#include <algorithm>
#include <cctype>
#include <vector>

#include "models/recipes/document.h"
#include "models/recipes/scan.h"
#include "models/recipes/shell_words.h"

namespace recipes {
namespace {

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Flags (`--key value ...`, `--key=value`) and overrides (`key.of.section=value`) of a script's commands, arrays and
/// quoted variables.
class ShellReader {
 public:
  explicit ShellReader(Document& document) : document_(document), text_(document.text), words_(document) {}

  void read() {
    script(0, text_.size(), false);
    settle_places();
    for (const auto& [name, variable] : words_.variables()) {
      if (variable.uses > 0 || variable.text.find("--") != std::string::npos) continue;
      document_.asides.push_back(
          {variable.line, name + "=" + variable.text, "not understood: a variable that no flag uses"});
    }
  }

 private:
  void script(std::size_t at, std::size_t limit, bool in_list) {
    ShellWord word;
    int lists = 0, list_line = 0;
    bool starts_command = !in_list;
    while (words_.next(at, limit, word)) {
      if (word.kind == ShellWord::Kind::open_list) {
        if (lists++ == 0) list_line = document_.line_at(word.at.begin);
      } else if (word.kind == ShellWord::Kind::close_list) {
        lists = std::max(0, lists - 1);
        finish_flag();
      } else if (word.kind == ShellWord::Kind::end_of_command) {
        if (lists > 0 || in_list) continue;
        finish_flag();
        starts_command = true;
      } else if (starts_command && lists == 0 && is_assignment(word)) {
        assignment(word);
      } else {
        starts_command = starts_command && (word.text == "export" || word.text == "local" || word.text == "readonly");
        argument(word, in_list || lists > 0);
      }
    }
    finish_flag();
    if (lists > 0) document_.fail(list_line, "a `(` is not closed");
  }

  bool is_assignment(const ShellWord& word) const {
    std::size_t at = word.at.begin;
    while (at < word.at.end && is_name(text_[at])) ++at;
    if (at < word.at.end && text_[at] == '+') ++at;
    return at > word.at.begin && at < word.at.end && text_[at] == '=' &&
           std::isdigit(static_cast<unsigned char>(text_[word.at.begin])) == 0;
  }

  /// `NAME=value`. A value of flags is read as such.
  void assignment(const ShellWord& word) {
    const std::size_t sign = text_.find('=', word.at.begin);
    const std::string name(text_.substr(word.at.begin, sign - word.at.begin));
    Span value{sign + 1, word.at.end};
    const std::string_view raw = text_.substr(value.begin, value.end - value.begin);
    const bool is_quoted = raw.size() > 1 && (raw.front() == '"' || raw.front() == '\'') && raw.back() == raw.front();
    if (is_quoted) ++value.begin, --value.end;
    const std::string content = word.text.substr(word.text.find('=') + 1);
    if (is_quoted && stripped(content).starts_with("-")) script(value.begin, value.end, true);
    if (raw.starts_with("${") && raw.ends_with("}") && raw.find(":-") != std::string_view::npos)
      value = {value.begin + raw.find(":-") + 2, value.end - 1};
    words_.assign(name.ends_with('+') ? name.substr(0, name.size() - 1) : name,
                  {.text = content, .value_at = value, .line = document_.line_at(word.at.begin)});
  }

  static bool is_flag(const ShellWord& word) {
    const std::string& text = word.text;
    return !word.is_quoted && text.size() > 1 && text[0] == '-' &&
           (text[1] == '-' ? text.size() > 2 : std::isalpha(static_cast<unsigned char>(text[1])) != 0);
  }

  /// `section.key=value`, with Hydra's `+`, `++` or a flag's `--` before it.
  static bool is_override(const ShellWord& word) {
    const std::size_t sign = word.text.find('=');
    const std::size_t first = word.text.find_first_not_of("+-");
    return sign != std::string::npos && first < sign &&
           std::all_of(word.text.begin() + static_cast<std::ptrdiff_t>(first),
                       word.text.begin() + static_cast<std::ptrdiff_t>(sign),
                       [](char c) { return is_name(c) || c == '.'; });
  }

  void argument(const ShellWord& word, bool in_list) {
    const bool has_sign = word.text.find('=') != std::string::npos;
    if (is_override(word) && (!is_flag(word) || has_sign)) {
      finish_flag();
      key_with_sign(word, in_list);
    } else if (is_flag(word)) {
      finish_flag();
      flag_ = {.key = spelled(word.text),
               .line = document_.line_at(word.at.begin),
               .statement = word.at,
               .in_list = in_list};
      has_flag_ = true;
    } else if (has_flag_ && !word.text.ends_with(".py") && !is_list_variable(word)) {
      values_.push_back(word);
    } else {
      finish_flag();
    }
  }

  /// `${ARGS[@]}`, or a variable of flags, whose flags are read where it is set.
  bool is_list_variable(const ShellWord& word) const {
    const std::string_view raw = text_.substr(word.at.begin, word.at.end - word.at.begin);
    const bool is_variable = raw.find('$') < 2;
    return is_variable && (raw.find("[@]") != std::string_view::npos || stripped(word.text).starts_with("--"));
  }

  /// Flags may be typed with `_` for `-`; a dotted key is an override.
  static std::string spelled(std::string key) {
    if (key.find('.') != std::string::npos) return key.substr(key.find_first_not_of("+-"));
    std::replace(key.begin(), key.end(), '_', '-');
    return key;
  }

  void key_with_sign(const ShellWord& word, bool in_list) {
    const std::size_t sign = word.text.find('=');
    const std::string key = word.text.substr(0, sign), value = word.text.substr(sign + 1);
    const std::size_t from = text_.find('=', word.at.begin) + 1;
    if (value.empty()) document_.fail(document_.line_at(word.at.begin), key + ": needs a value");
    document_.add({.key = is_flag(word) ? spelled(key) : key.substr(key.find_first_not_of("+-")),
                   .value = literal(value),
                   .line = document_.line_at(word.at.begin),
                   .value_at = {from, word.is_quoted ? word.inner.end : word.at.end},
                   .statement = word.at,
                   .in_list = in_list,
                   .shown = value});
    variables_of_.push_back({});
  }

  void finish_flag() {
    if (!has_flag_) return;
    has_flag_ = false;
    flag_.value = true;
    std::string variable;
    if (values_.size() == 1) {
      flag_.value = literal(values_[0].text);
      variable = values_[0].variable;
    } else if (values_.size() > 1) {
      Value::List list;
      for (const ShellWord& word : values_) list.push_back(literal(word.text));
      flag_.value = std::move(list);
    }
    for (const ShellWord& word : values_) flag_.shown += (flag_.shown.empty() ? "" : " ") + word.text;
    if (!values_.empty()) {
      flag_.value_at = values_.size() == 1 ? values_[0].inner : Span{values_.front().at.begin, values_.back().at.end};
      flag_.statement.end = values_.back().at.end;
    }
    document_.add(std::move(flag_));
    variables_of_.push_back(std::move(variable));
    values_.clear();
    flag_ = {};
  }

  /// A value that is a variable of its own is changed where the variable is set.
  void settle_places() {
    const std::size_t first = document_.entries.size() - variables_of_.size();
    for (std::size_t i = 0; i < variables_of_.size(); ++i) {
      const auto known = words_.variables().find(variables_of_[i]);
      if (known == words_.variables().end() || known->second.settings != 1 || known->second.uses != 1) continue;
      if (known->second.text.find('$') == std::string::npos)
        document_.entries[first + i].value_at = known->second.value_at;
    }
  }

  Document& document_;
  std::string_view text_;
  ShellWords words_;
  Entry flag_;
  bool has_flag_ = false;
  std::vector<ShellWord> values_;
  std::vector<std::string> variables_of_;  ///< of each entry, in order
};

}  // namespace

void read_shell(Document& document) { ShellReader(document).read(); }

}  // namespace recipes
