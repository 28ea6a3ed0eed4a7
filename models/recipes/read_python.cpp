#include <algorithm>
#include <cctype>
#include <vector>

#include "models/recipes/document.h"
#include "models/recipes/scan.h"

namespace recipes {
namespace {

bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_name(char c) { return is_name_start(c) || std::isdigit(static_cast<unsigned char>(c)) != 0; }

/// An indented part: what stands in it may not run, unless it is only a function.
struct Block {
  std::size_t indent;
  bool is_condition;
};

class PythonReader {
 public:
  explicit PythonReader(Document& document) : document_(document), text_(document.text) {}

  void read() {
    for (std::size_t at = 0; at < text_.size();) at = statement(at);
  }

 private:
  /// Reads the statement that begins on the line of `begin`; where the next line begins.
  std::size_t statement(std::size_t begin) {
    const std::size_t at = text_.find_first_not_of(" \t\r", begin);
    if (at == std::string_view::npos) return text_.size();
    if (text_[at] == '\n') return at + 1;
    if (text_[at] == '#') return line_end(text_, at);
    leave_blocks(at - begin);
    const std::size_t end = end_of_statement(at);
    const std::string_view words = stripped(text_.substr(at, end - at));
    if (opens_block(words)) {
      blocks_.push_back({at - begin, !words.starts_with("def ") && !words.starts_with("class ")});
      if (blocks_.back().is_condition) aside(at, words, "not understood: what stands under a condition may not run");
    } else if (!assignment(at, end)) {
      aside(at, words, reason(words));
    }
    return line_end(text_, std::max(end, at));
  }

  void leave_blocks(std::size_t indent) {
    while (!blocks_.empty() && indent <= blocks_.back().indent) blocks_.pop_back();
  }

  /// Where quotes and brackets are closed and the line ends, before a comment.
  std::size_t end_of_statement(std::size_t at) const {
    std::size_t end = at;
    while (end < text_.size() && text_[end] != '\n' && text_[end] != '#') {
      const char c = text_[end];
      if (text_.substr(end).starts_with("\"\"\"") || text_.substr(end).starts_with("'''")) {
        end = closed(text_.find(text_.substr(end, 3), end + 3), at, 3);
      } else if (c == '"' || c == '\'' || c == '(' || c == '[' || c == '{') {
        end = closed(end_of_value(text_, end, false), at, 0);
      } else {
        end += c == '\\' && end + 1 < text_.size() ? 2 : 1;
      }
    }
    return end;
  }

  std::size_t closed(std::size_t end, std::size_t at, std::size_t quotes) const {
    if (end == std::string_view::npos) document_.fail(document_.line_at(at), "a quote or bracket is not closed");
    return end + quotes;
  }

  static bool opens_block(std::string_view words) { return words.ends_with(':'); }

  static std::string reason(std::string_view words) {
    for (const std::string_view known : {"import ", "from ", "return", "pass", "\"\"\"", "'''", "@"}) {
      if (words.starts_with(known)) return "does not change a step's time: not a setting";
    }
    if (words.find("_config(") != std::string_view::npos)
      return "the recipe that this one starts from: what it sets is not read";
    return "not understood: not an assignment `cfg.section.key = value`";
  }

  void aside(std::size_t at, std::string_view words, std::string why) {
    const std::string_view first_line = stripped(words.substr(0, words.find('\n')));
    document_.asides.push_back({document_.line_at(at), std::string(first_line), std::move(why)});
  }

  /// `cfg.model.x = value`; false where the statement is something else.
  bool assignment(std::size_t at, std::size_t end) {
    std::size_t stop = at;
    int dots = 0;
    while (stop < end && (is_name(text_[stop]) || text_[stop] == '.')) dots += text_[stop++] == '.' ? 1 : 0;
    const std::size_t sign = text_.find_first_not_of(" \t", stop);
    if (dots == 0 || !is_name_start(text_[at]) || sign == std::string_view::npos || sign >= end || text_[sign] != '=' ||
        text_.substr(sign).starts_with("=="))
      return false;
    const std::string_view target = text_.substr(at, stop - at);
    const std::string_view value = stripped(text_.substr(sign + 1, end - sign - 1));
    if (value.empty()) document_.fail(document_.line_at(at), std::string(target) + ": needs a value");
    const auto from = static_cast<std::size_t>(value.data() - text_.data());
    const bool is_reachable = std::none_of(blocks_.begin(), blocks_.end(), [](Block b) { return b.is_condition; });
    document_.add({.key = std::string(target.substr(target.find('.') + 1)),
                   .value = literal(value),
                   .line = document_.line_at(at),
                   .value_at = {from, from + value.size()},
                   .statement = {line_begin(text_, at), line_end(text_, end)},
                   .reachable = is_reachable,
                   .shown = std::string(value)});
    return true;
  }

  Document& document_;
  std::string_view text_;
  std::vector<Block> blocks_;
};

}  // namespace

void read_python(Document& document) { PythonReader(document).read(); }

}  // namespace recipes
