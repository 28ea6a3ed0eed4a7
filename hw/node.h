#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hw {

/// One value of a JSON document that remembers where it stands, so that every refusal names file, JSON pointer, rule
/// and what was found: `configs/x.json: /parallel/tp: must be a positive integer, got -1`.
/// Refused while reading: missing file, directory, empty file, syntax errors, duplicate keys, nesting deeper than 64,
/// numbers that are not finite, invalid UTF-8, NUL bytes, files over 64 MiB. Cheap to copy: nodes share the document.
class Node {
 public:
  /// Reads a whole file. Throws InputError.
  static Node read_file(const std::filesystem::path& path);
  /// Parses text; `name` stands where the file's name would stand in errors. Throws InputError.
  static Node parse(std::string_view text, const std::string& name);
  /// A JSONL file: one node per non-empty line, named `file:line`. Throws InputError on unreadable files only;
  /// a line that is not valid JSON gives an error text instead of a node.
  struct Line;
  static std::vector<Line> read_lines(const std::filesystem::path& path);

  bool is_object() const;
  bool is_array() const;
  bool is_text() const;
  bool is_number() const;
  bool is_boolean() const;

  /// Keys of an object in file order. Fails unless an object.
  std::vector<std::string> keys() const;
  /// True where the key is there and not null: absent and null mean the same.
  bool has(std::string_view key) const;
  /// The member; fails where it is absent or null.
  Node at(std::string_view key) const;
  /// The member, if there.
  std::optional<Node> find(std::string_view key) const;
  /// Elements of an array. Fails unless an array.
  std::vector<Node> elements() const;
  /// Refuses keys that are not listed; the message suggests the nearest known one.
  void only(std::initializer_list<std::string_view> known) const;

  double number() const;        ///< any finite number
  double positive() const;      ///< > 0
  double non_negative() const;  ///< >= 0
  double fraction() const;      ///< 0 < x <= 1
  int positive_int() const;     ///< an integer from 1 to 2^31-1
  int non_negative_int() const;
  std::int64_t positive_int64() const;  ///< an integer from 1 to 2^53
  bool boolean() const;
  std::string text() const;  ///< a non-empty string
  /// Index of text() in `choices`; fails naming them and the nearest.
  int choice(std::initializer_list<std::string_view> choices) const;

  /// Throws InputError `file: pointer: rule, got <this value>` (long values are shortened).
  [[noreturn]] void fail(const std::string& rule) const;

  const std::string& file() const;
  const std::string& pointer() const { return pointer_; }
  std::string dump() const;    ///< compact JSON text of this value
  std::string pretty() const;  ///< with line breaks, for files

  /// A document of its own in which other values stand at these JSON pointers; a member that is not there is added.
  /// Throws InputError where the object or array that holds one is not there.
  using Value = std::variant<double, std::string, std::vector<double>>;
  Node with(const std::vector<std::pair<std::string, Value>>& values) const;

 private:
  struct Document;
  Node(std::shared_ptr<const Document> document, const void* value, std::string pointer)
      : document_(std::move(document)), value_(value), pointer_(std::move(pointer)) {}

  std::shared_ptr<const Document> document_;
  const void* value_;  ///< nlohmann::ordered_json inside the document; kept out of this header
  std::string pointer_;
};

struct Node::Line {
  int number;                ///< from 1
  std::optional<Node> node;  ///< absent where the line is not JSON
  std::string error;         ///< then the whole InputError text
};

/// The nearest of `known` to `word` by edit distance, if at most a third of the word's letters differ. Case does not
/// count; of equally near ones the one that shares the longer start, then the first.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace hw
