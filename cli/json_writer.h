#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

/// Writes one JSON document, member by member, in the order of the calls. Two levels are indented; what lies deeper
/// stands on one line. The caller closes what it opens and names members in objects only.
class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  /// UTF-8; quotes, backslashes and control characters are escaped, bytes that are not UTF-8 become U+FFFD.
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  /// The shortest digits that read back as the same double; null for what JSON has no number for (infinite, NaN).
  JsonWriter& value(double number);
  JsonWriter& value(int number);
  JsonWriter& value(bool flag);
  JsonWriter& null();
  /// A value that is JSON text already.
  JsonWriter& json(std::string_view text);

  template <typename T>
  JsonWriter& member(std::string_view name, const T& content) {
    return key(name).value(content);
  }
  JsonWriter& texts(std::string_view name, const std::vector<std::string>& list);

  /// The document with a final line break, when all is closed.
  std::string text() const { return out_ + "\n"; }

 private:
  void start_value();
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& raw(std::string_view token);
  void new_line(std::size_t depth);

  std::string out_;
  std::vector<bool> has_members_;  ///< by open container
  bool after_key_ = false;
};

}  // namespace cli
