#include "models/recipes/shell_words.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "models/recipes/scan.h"

namespace recipes {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 16;  ///< of a word, with its variables

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool ends_word(char c) { return std::string_view(" \t\r\n;|&()<>").find(c) != std::string_view::npos; }

}  // namespace

void ShellWords::assign(const std::string& name, ShellVariable variable) {
  ShellVariable& known = variables_[name];
  const int settings = known.settings + 1, uses = known.uses;
  known = std::move(variable);
  known.settings = settings;
  known.uses = uses;
}

std::size_t ShellWords::skip_blanks(std::size_t at, std::size_t limit) const {
  while (at < limit) {
    const std::string_view rest = text_.substr(at);
    if (rest.starts_with("\\\n")) {
      at += 2;
    } else if (rest.starts_with("\\\r\n")) {
      at += 3;
    } else if (rest.front() == ' ' || rest.front() == '\t' || rest.front() == '\r') {
      ++at;
    } else if (rest.front() == '#') {
      at = std::min(text_.find('\n', at), limit);
    } else {
      break;
    }
  }
  return at;
}

bool ShellWords::next(std::size_t& at, std::size_t limit, ShellWord& word) {
  at = skip_blanks(at, limit);
  if (at >= limit) return false;
  word = {};
  word.at = {at, at + 1};
  const char c = text_[at];
  if (c == '(' || c == ')') {
    word.kind = c == '(' ? ShellWord::Kind::open_list : ShellWord::Kind::close_list;
    ++at;
  } else if (ends_word(c)) {
    word.kind = ShellWord::Kind::end_of_command;
    ++at;
  } else {
    at = read_word(at, limit, word);
    word.at.end = at;
    if (word.inner.end == 0) word.inner = word.at;
  }
  return true;
}

std::size_t ShellWords::read_word(std::size_t at, std::size_t limit, ShellWord& word) {
  const std::size_t begin = at;
  while (at < limit && !ends_word(text_[at])) {
    const char c = text_[at];
    if (c == '"' || c == '\'') {
      const std::size_t end = read_quoted(at, limit, word);
      if (at == begin && (end >= limit || ends_word(text_[end]))) {
        word.is_quoted = true;
        word.inner = {at + 1, end - 1};
      }
      at = end;
    } else if (c == '$' || c == '`') {
      const std::size_t end = read_dollar(at, limit, word);
      if (at != begin || (end < limit && !ends_word(text_[end]))) word.variable.clear();
      at = end;
    } else if (c == '\\' && at + 1 < limit) {
      word.text += text_[at + 1];
      at += 2;
    } else {
      word.text += c;
      ++at;
    }
  }
  return at;
}

std::size_t ShellWords::read_quoted(std::size_t at, std::size_t limit, ShellWord& word) {
  const char quote = text_[at];
  const std::size_t open = at++;
  const std::size_t before = word.text.size();
  while (at < limit && text_[at] != quote) {
    if (quote == '"' && (text_[at] == '$' || text_[at] == '`')) {
      const std::size_t end = read_dollar(at, limit, word);
      if (before > 0 || at != open + 1 || end >= limit || text_[end] != quote) word.variable.clear();
      at = end;
    } else if (quote == '"' && text_[at] == '\\' && at + 1 < limit) {
      word.text += text_[at + 1] == '\n' ? ' ' : text_[at + 1];
      at += 2;
    } else {
      word.text += text_[at++];
    }
  }
  if (at >= limit) document_.fail(document_.line_at(open), "a quote is not closed");
  return at + 1;
}

std::size_t ShellWords::closing(std::size_t at, std::size_t limit, char open, char close) const {
  int depth = 0;
  for (std::size_t i = at; i < limit; ++i) {
    if (text_[i] == open) ++depth;
    if (text_[i] == close && --depth == 0) return i + 1;
  }
  document_.fail(document_.line_at(at), std::string("a `") + open + "` is not closed");
}

std::size_t ShellWords::read_dollar(std::size_t at, std::size_t limit, ShellWord& word) {
  if (text_[at] == '`') {
    const std::size_t end = text_.find('`', at + 1);
    if (end >= limit) document_.fail(document_.line_at(at), "a quote is not closed");
    word.text += text_.substr(at, end + 1 - at);
    return end + 1;
  }
  std::size_t end = at + 1;
  std::string_view name;
  std::optional<std::string> otherwise;
  if (end < limit && text_[end] == '{') {
    end = closing(end, limit, '{', '}');
    name = text_.substr(at + 2, end - at - 3);
    if (const auto mark = name.find(":-"); mark != std::string_view::npos) {
      otherwise = std::string(name.substr(mark + 2));
      name = name.substr(0, mark);
    }
  } else if (end < limit && text_[end] == '(') {
    end = closing(end, limit, '(', ')');
  } else {
    while (end < limit && is_name(text_[end])) ++end;
    name = text_.substr(at + 1, end - at - 1);
  }
  const auto known =
      variables_.find(name.ends_with("[@]") || name.ends_with("[*]") ? name.substr(0, name.size() - 3) : name);
  if (known != variables_.end()) {
    ++known->second.uses;
    if (word.text.size() + known->second.text.size() > kMostBytes)
      document_.fail(document_.line_at(at), "a word must not be longer than 64 KiB");
    word.text += known->second.text;
    word.variable = known->first;
  } else {
    word.text += otherwise.value_or(std::string(text_.substr(at, end - at)));
  }
  return end;
}

}  // namespace recipes
