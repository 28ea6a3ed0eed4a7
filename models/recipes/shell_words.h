#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "models/recipes/document.h"

namespace recipes {

/// A variable that the script sets.
struct ShellVariable {
  std::string text;
  Span value_at;
  int line = 0;
  int settings = 0, uses = 0;
};

/// One word of a shell script, with the variables in it replaced by what the script sets them to.
struct ShellWord {
  enum class Kind { word, end_of_command, open_list, close_list } kind = Kind::word;
  Span at = {};
  std::string text = {};      ///< a variable that is not set stays as it is written
  std::string variable = {};  ///< the one that the word consists of, if it is one
  Span inner = {};            ///< without quotes around it
  bool is_quoted = false;
};

/// Reads a script word by word. Knows quotes, escapes, comments, line continuations, `$NAME`, `${NAME}` and
/// `${NAME:-otherwise}`; what is computed (`$(...)`, `$((...))`) stays as it is written.
class ShellWords {
 public:
  explicit ShellWords(const Document& document) : document_(document), text_(document.text) {}

  /// The next word that begins before `limit`; false at the end. Throws hw::InputError where a quote stays open.
  bool next(std::size_t& at, std::size_t limit, ShellWord& word);

  void assign(const std::string& name, ShellVariable variable);
  std::map<std::string, ShellVariable, std::less<>>& variables() { return variables_; }

 private:
  std::size_t skip_blanks(std::size_t at, std::size_t limit) const;
  std::size_t read_word(std::size_t at, std::size_t limit, ShellWord& word);
  std::size_t read_quoted(std::size_t at, std::size_t limit, ShellWord& word);
  std::size_t read_dollar(std::size_t at, std::size_t limit, ShellWord& word);
  std::size_t closing(std::size_t at, std::size_t limit, char open, char close) const;

  const Document& document_;
  std::string_view text_;
  std::map<std::string, ShellVariable, std::less<>> variables_;
};

}  // namespace recipes
