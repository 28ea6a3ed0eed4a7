#include "hw/node.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "hw/error_text.h"
#include "hw/input_error.h"

namespace hw {

struct Node::Document {
  std::string name;
  nlohmann::ordered_json root;
};

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxDepth = 64;

const Json& json(const void* value) { return *static_cast<const Json*>(value); }

std::string shown_pointer(const std::string& pointer) { return pointer.empty() ? "/" : printable(pointer); }

/// `line L, column C: what is wrong`, from the parser's complaint about the bytes that end at `last_byte`.
std::string complaint(std::string_view text, bool is_one_line, std::size_t last_byte, std::string token,
                      const Json::exception& error) {
  std::string what = error.what();
  if (const std::size_t dash = what.find(" - "); dash != std::string::npos) what.erase(0, dash + 3);
  const std::size_t last_read = what.find("; last read: ");
  const bool shows_token = last_read != std::string::npos;
  if (shows_token) what.erase(last_read);
  constexpr int kNumberOverflow = 406;
  if (error.id == kNumberOverflow) what = "number is out of range";
  if (what == "invalid literal") {  // here the parser's token also holds what came before
    const std::string_view word = word_at(text, std::min(last_byte, text.size() - 1));
    last_byte = static_cast<std::size_t>(word.data() - text.data());
    token = word;
  }
  if (const std::size_t expected = what.find("; expected"); expected != std::string::npos) what[expected] = ',';
  if (shows_token || error.id == kNumberOverflow) what += ", got " + shortened(printable(token, true));
  return place(text, last_byte, is_one_line) + ": " + what;
}

/// Builds the document from the parser's events. Unlike the library's own builder it refuses duplicate keys (which
/// would silently overwrite) and deep nesting, and appends members in constant time.
class DocumentBuilder {
 public:
  DocumentBuilder(std::string_view text, const std::string& name, bool is_one_line, Json& root)
      : text_(text), name_(name), is_one_line_(is_one_line), root_(root) {}

  bool null() { return scalar(nullptr); }
  bool boolean(bool value) { return scalar(value); }
  bool number_integer(Json::number_integer_t value) { return scalar(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return scalar(value); }
  bool number_float(Json::number_float_t value, const Json::string_t&) { return scalar(value); }
  bool string(Json::string_t& value) { return scalar(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // not in JSON text
  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(Json::string_t& key) {
    if (!levels_.back().seen.insert(key).second) {
      throw InputError(name_ + ": " + shown_pointer(pointer() + pointer_step(key)) + ": duplicate key");
    }
    levels_.back().key = std::move(key);
    return true;
  }

  bool parse_error(std::size_t bytes_read, const std::string& token, const Json::exception& error) {
    const std::size_t last_byte = bytes_read == 0 ? 0 : bytes_read - 1;
    throw InputError(name_ + ": " + complaint(text_, is_one_line_, last_byte, token, error));
  }

 private:
  struct Level {
    Json* container;
    std::string key = {};
    std::unordered_set<std::string> seen = {};
  };

  std::string pointer() const {
    std::string result;
    for (std::size_t i = 0; i + 1 < levels_.size(); ++i) {
      const Level& level = levels_[i];
      result += pointer_step(level.container->is_array() ? std::to_string(level.container->size() - 1) : level.key);
    }
    return result;
  }

  Json* append(Json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Level& level = levels_.back();
    if (level.container->is_array()) {
      level.container->push_back(std::move(value));
      return &level.container->back();
    }
    // The map's own insertion searches all keys; they are known to differ.
    auto& members = level.container->get_ref<Json::object_t&>();
    static_cast<Json::object_t::Container&>(members).emplace_back(level.key, std::move(value));
    return &members.back().second;
  }

  bool scalar(Json value) {
    append(std::move(value));
    return true;
  }

  bool open(Json container) {
    if (levels_.size() == kMaxDepth) {
      throw InputError(name_ + ": " + shortened(shown_pointer(pointer())) + ": must not nest deeper than " +
                       std::to_string(kMaxDepth));
    }
    Json* const added = append(std::move(container));
    levels_.push_back({added});
    return true;
  }

  bool close() {
    levels_.pop_back();
    return true;
  }

  std::string_view text_;
  const std::string& name_;
  bool is_one_line_;
  Json& root_;
  std::vector<Level> levels_;
};

constexpr std::string_view kWhitespace = " \t\r\n";

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  return text;
}

Json parse_text(std::string_view text, const std::string& name, bool is_one_line) {
  if (text.find_first_not_of(kWhitespace) == std::string_view::npos) throw InputError(name + ": is empty");
  // The parser takes a NUL byte for the end and would ignore what follows.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    throw InputError(name + ": " + place(text, nul, is_one_line) + ": NUL byte");
  }
  Json root;
  DocumentBuilder builder(text, name, is_one_line, root);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return root;
}

/// Reads at most 64 MiB; works for pipes too, whose size is not known beforehand.
std::string read_text(const std::filesystem::path& path) {
  const std::string name = printable(path.string());
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) throw InputError(name + ": no such file");
  if (status.type() == std::filesystem::file_type::directory) throw InputError(name + ": is a directory, not a file");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InputError(name + ": cannot be opened");
  std::string text;
  std::array<char, 1 << 16> chunk;
  while (file.read(chunk.data(), chunk.size()), file.gcount() > 0) {
    text.append(chunk.data(), static_cast<std::size_t>(file.gcount()));
    if (text.size() > kMaxFileBytes) throw InputError(name + ": must not be larger than 64 MiB");
  }
  if (file.bad()) throw InputError(name + ": cannot be read");
  return text;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  const std::optional<std::string> meant = nearest(word, known);
  return meant ? " (did you mean \"" + *meant + "\"?)" : "";
}

std::string joined(const std::vector<std::string>& words) {
  std::string result;
  for (const std::string& word : words) result += (result.empty() ? "" : ", ") + word;
  return result;
}

/// The value if it is an integer (8.0 is one); numbers beyond 64 bits saturate.
std::optional<std::int64_t> whole_number(const Json& value) {
  constexpr auto kLargest = std::numeric_limits<std::int64_t>::max();
  if (value.is_number_unsigned()) {
    return static_cast<std::int64_t>(std::min(value.get<std::uint64_t>(), static_cast<std::uint64_t>(kLargest)));
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (std::trunc(number) != number) return std::nullopt;
  if (number >= 0x1p63) return kLargest;
  if (number < -0x1p63) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(number);
}

std::int64_t integer_between(const Node& node, const Json& value, std::int64_t low, std::int64_t high) {
  const std::optional<std::int64_t> integer = whole_number(value);
  if (!integer || *integer < low) node.fail(low == 0 ? "must be a non-negative integer" : "must be a positive integer");
  if (*integer > high) node.fail("must be an integer from " + std::to_string(low) + " to " + std::to_string(high));
  return *integer;
}

/// The value on one line, with spaces after commas and colons.
void write_line(const Json& value, std::string& out) {
  if (!value.is_structured()) {
    out += value.dump();
    return;
  }
  out += value.is_object() ? '{' : '[';
  const char* separator = "";
  for (const auto& [key, member] : value.items()) {
    out += separator;
    if (value.is_object()) out += Json(key).dump() + ": ";
    write_line(member, out);
    separator = ", ";
  }
  out += value.is_object() ? '}' : ']';
}

bool is_flat(const Json& value) {
  return std::none_of(value.begin(), value.end(), [](const Json& member) { return member.is_structured(); });
}

/// Numbers and texts, objects of them and of flat arrays, and flat arrays, unless they are long.
bool fits_on_a_line(const Json& value) {
  constexpr std::size_t kLong = 32;  // elements
  if (!value.is_structured()) return true;
  if (value.is_array()) return is_flat(value) && value.size() <= kLong;
  return std::all_of(value.begin(), value.end(), [](const Json& member) {
    return !member.is_structured() || (member.is_array() && fits_on_a_line(member));
  });
}

void lay_out(const Json& value, std::size_t indent, std::string& out) {
  if (indent > 0 && fits_on_a_line(value)) return write_line(value, out);
  constexpr std::size_t kStep = 2;
  out += value.is_object() ? "{" : "[";
  const char* separator = "\n";
  for (const auto& [key, member] : value.items()) {
    out += separator + std::string(indent + kStep, ' ');
    if (value.is_object()) out += Json(key).dump() + ": ";
    lay_out(member, indent + kStep, out);
    separator = ",\n";
  }
  out += "\n" + std::string(indent, ' ') + (value.is_object() ? "}" : "]");
}

}  // namespace

Node Node::read_file(const std::filesystem::path& path) { return parse(read_text(path), path.string()); }

Node Node::parse(std::string_view text, const std::string& name) {
  auto document = std::make_shared<Document>();
  document->name = printable(name);
  if (text.size() > kMaxFileBytes) throw InputError(document->name + ": must not be larger than 64 MiB");
  document->root = parse_text(without_byte_order_mark(text), document->name, false);
  const Json* const root = &document->root;
  return Node(std::move(document), root, "");
}

std::vector<Node::Line> Node::read_lines(const std::filesystem::path& path) {
  const std::string text = read_text(path);
  std::vector<Line> lines;
  std::string_view rest = without_byte_order_mark(text);
  for (int number = 1; !rest.empty(); ++number) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.find_first_not_of(kWhitespace) == std::string_view::npos) continue;
    auto document = std::make_shared<Document>();
    document->name = printable(path.string()) + ":" + std::to_string(number);
    try {
      document->root = parse_text(line, document->name, true);
      const Json* const root = &document->root;
      lines.push_back({number, Node(std::move(document), root, ""), ""});
    } catch (const InputError& error) {
      lines.push_back({number, std::nullopt, error.what()});
    }
  }
  return lines;
}

bool Node::is_object() const { return json(value_).is_object(); }
bool Node::is_array() const { return json(value_).is_array(); }
bool Node::is_text() const { return json(value_).is_string(); }
bool Node::is_number() const { return json(value_).is_number(); }
bool Node::is_boolean() const { return json(value_).is_boolean(); }

std::vector<std::string> Node::keys() const {
  if (!is_object()) fail("must be an object");
  std::vector<std::string> result;
  for (const auto& [key, value] : json(value_).get_ref<const Json::object_t&>()) result.push_back(key);
  return result;
}

bool Node::has(std::string_view key) const { return find(key).has_value(); }

Node Node::at(std::string_view key) const {
  std::optional<Node> member = find(key);
  if (!member) throw InputError(file() + ": " + shown_pointer(pointer_) + ": missing key \"" + printable(key) + "\"");
  return *std::move(member);
}

std::optional<Node> Node::find(std::string_view key) const {
  if (!is_object()) fail("must be an object");
  for (const auto& [name, value] : json(value_).get_ref<const Json::object_t&>()) {
    if (name != key) continue;
    if (value.is_null()) return std::nullopt;
    return Node(document_, &value, pointer_ + pointer_step(key));
  }
  return std::nullopt;
}

std::vector<Node> Node::elements() const {
  if (!is_array()) fail("must be an array");
  std::vector<Node> result;
  for (const Json& value : json(value_)) {
    result.push_back(Node(document_, &value, pointer_ + "/" + std::to_string(result.size())));
  }
  return result;
}

void Node::only(std::initializer_list<std::string_view> known) const {
  if (!is_object()) fail("must be an object");
  for (const auto& [key, value] : json(value_).get_ref<const Json::object_t&>()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::vector<std::string> words(known.begin(), known.end());
    const std::string meant = suggestion(key, words);
    throw InputError(file() + ": " + shown_pointer(pointer_) + ": unknown key \"" + shortened(printable(key)) + "\"" +
                     (meant.empty() ? " (known: " + joined(words) + ")" : meant));
  }
}

double Node::number() const {
  if (!is_number()) fail("must be a number");
  return json(value_).get<double>();
}

double Node::positive() const {
  if (!is_number() || number() <= 0) fail("must be a positive number");
  return number();
}

double Node::non_negative() const {
  if (!is_number() || number() < 0) fail("must be a non-negative number");
  return number();
}

double Node::fraction() const {
  if (!is_number() || number() <= 0 || number() > 1) fail("must be a number above 0 and at most 1");
  return number();
}

int Node::positive_int() const {
  return static_cast<int>(integer_between(*this, json(value_), 1, std::numeric_limits<std::int32_t>::max()));
}

int Node::non_negative_int() const {
  return static_cast<int>(integer_between(*this, json(value_), 0, std::numeric_limits<std::int32_t>::max()));
}

std::int64_t Node::positive_int64() const { return integer_between(*this, json(value_), 1, std::int64_t{1} << 53); }

bool Node::boolean() const {
  if (!is_boolean()) fail("must be true or false");
  return json(value_).get<bool>();
}

std::string Node::text() const {
  if (!is_text() || json(value_).get_ref<const std::string&>().empty()) fail("must be a non-empty string");
  return json(value_).get<std::string>();
}

int Node::choice(std::initializer_list<std::string_view> choices) const {
  const std::vector<std::string> words(choices.begin(), choices.end());
  if (!is_text()) fail("must be one of " + joined(words));
  const std::string& word = json(value_).get_ref<const std::string&>();
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) fail("must be one of " + joined(words) + suggestion(word, words));
  return static_cast<int>(found - words.begin());
}

void Node::fail(const std::string& rule) const {
  throw InputError(file() + ": " + shown_pointer(pointer_) + ": " + rule + ", got " + shortened(dump()));
}

const std::string& Node::file() const { return document_->name; }

std::string Node::dump() const { return json(value_).dump(); }

std::string Node::pretty() const {
  std::string out;
  lay_out(json(value_), 0, out);
  return out + "\n";
}

Node Node::with(const std::vector<std::pair<std::string, Value>>& values) const {
  auto document = std::make_shared<Document>();
  document->name = file();
  document->root = json(value_);
  for (const auto& [pointer, value] : values) {
    try {
      const Json::json_pointer at(pointer);
      Json& parent = document->root.at(at.parent_pointer());
      if (!parent.is_object() && !parent.is_array()) throw InputError("");
      std::visit([&](const auto& stated) { document->root[at] = stated; }, value);
    } catch (const std::exception&) {
      throw InputError(file() + ": " + shown_pointer(pointer) + ": must be in an object or array that is there");
    }
  }
  const Json* const root = &document->root;
  return Node(std::move(document), root, "");
}

}  // namespace hw
