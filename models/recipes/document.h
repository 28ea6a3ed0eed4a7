#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "models/recipes/format.h"
#include "models/recipes/value.h"

namespace recipes {

/// Bytes [begin, end) of the text.
struct Span {
  std::size_t begin = 0, end = 0;
};

/// One key of a recipe, and where it stands. `key` is dotted (`model.tensor_model_parallel_size`), a flag as it is
/// typed
/// (`--tensor-model-parallel-size`), or `@name` for a line `# stepcast: name = value`.
struct Entry {
  std::string key;
  Value value = {};
  int line = 0;
  Span value_at = {};      ///< what stands for the value; empty where nothing does
  Span statement = {};     ///< what goes with the key when it is removed
  bool editable = true;    ///< false: inherited (an alias or a merge), or split over lines
  bool reachable = true;   ///< false: only run under a condition
  bool in_list = false;    ///< a shell's flag inside an array or a quoted text, where lines need no `\` at their ends
  std::string shown = {};  ///< the value as it is written, for messages
};

/// A part of the text that is no key.
struct Aside {
  int line = 0;
  std::string text;
  std::string why;
};

/// A table that holds keys: YAML mapping or TOML table.
struct Section {
  std::string key;  ///< empty: the whole document
  int line = 0;
  Span header = {};
  std::size_t end = 0;     ///< where another key can be added: the start of a line
  std::size_t indent = 0;  ///< of its keys
  bool is_flow = false;    ///< `{a: 1}`
};

/// A recipe's text taken apart by its syntax, before anybody asks what the keys mean.
struct Document {
  Syntax syntax = Syntax::yaml;
  std::string file;
  std::string text;  ///< without a byte-order mark
  std::vector<Entry> entries = {};
  std::vector<Aside> asides = {};
  std::vector<Section> sections = {};
  std::vector<std::size_t> line_starts = {};
  std::map<std::string, std::size_t, std::less<>> counted = {};  ///< by key, the entry that counts

  /// The entry that counts: the last of that key that is reached.
  const Entry* find(std::string_view key) const;
  /// Line of a byte, from 1.
  int line_at(std::size_t byte) const;
  /// Adds an entry, up to kMostEntries.
  void add(Entry entry);
  /// Throws hw::InputError: `file: line L: what`.
  [[noreturn]] void fail(int line, const std::string& what) const;
  /// `file: line L: key: rule, got value`
  [[noreturn]] void refuse(const Entry& entry, const std::string& rule) const;
};

/// Takes a text apart. Throws hw::InputError with file and line: empty, not UTF-8, NUL bytes, more than 4 MiB, not of
/// the syntax, a key given twice where the syntax forbids it, nesting deeper than 64, more than 20,000 keys.
Document parse_document(std::string_view text, const std::string& file, Syntax syntax);

inline constexpr int kMostNesting = 64;
inline constexpr std::size_t kMostEntries = 20'000;

// One file a syntax; each adds entries, asides and sections to a document that has its text.
void read_python(Document& document);
void read_shell(Document& document);
void read_yaml(Document& document);  ///< JSON too
void read_toml(Document& document);

}  // namespace recipes
