#include "calibration/csv_table.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <utility>

#include "hw/error_text.h"
#include "hw/input_error.h"

namespace calibration {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 30;  // of a table, unpacked

/// The file's bytes, unpacked: zlib passes on what is no gzip.
std::string read_unpacked(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) throw hw::InputError(path.string() + ": is a folder, must be a CSV file");
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) throw hw::InputError(path.string() + ": cannot be read");
  constexpr unsigned kChunk = 1U << 20;
  gzbuffer(file.get(), kChunk);
  std::string text;
  for (int got = 1; got > 0;) {
    const std::size_t before = text.size();
    if (before > kMostBytes) throw hw::InputError(path.string() + ": must be below 1 GiB unpacked");
    text.resize(before + kChunk);
    got = gzread(file.get(), text.data() + before, kChunk);
    text.resize(before + static_cast<std::size_t>(std::max(got, 0)));
  }
  int status = Z_OK;
  const char* const what = gzerror(file.get(), &status);
  if (status != Z_OK) throw hw::InputError(path.string() + ": is damaged: " + what);
  return text;
}

/// Cuts the line at commas; quotes around a field are taken off.
void split(std::string_view line, std::vector<std::string_view>& fields) {
  fields.clear();
  for (;;) {
    const bool quoted = line.starts_with('"');
    const std::size_t closing = quoted ? line.find('"', 1) : std::string_view::npos;
    const std::size_t comma = line.find(',', closing == std::string_view::npos ? 0 : closing);
    std::string_view field = line.substr(0, comma);
    if (closing != std::string_view::npos && closing + 1 == field.size()) field = field.substr(1, closing - 1);
    fields.push_back(field);
    if (comma == std::string_view::npos) return;
    line.remove_prefix(comma + 1);
  }
}

/// The line at `from`, without its end, and where the next one starts.
std::pair<std::string_view, std::size_t> line_at(std::string_view text, std::size_t from) {
  const std::size_t end = std::min(text.find('\n', from), text.size());
  std::string_view line = text.substr(from, end - from);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return {line, end + 1};
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

void CsvRow::fail(std::size_t column, const std::string& rule) const {
  throw hw::InputError(table_.name() + ":" + std::to_string(line_) + ": " + std::string(table_.column_name(column)) +
                       ": " + rule + ", got \"" + hw::shortened(hw::printable(fields_[column])) + "\"");
}

double CsvRow::number(std::size_t column, const char* rule) const {
  const std::string_view digits = fields_[column];
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value)) fail(column, rule);
  return value;
}

double CsvRow::positive(std::size_t column) const {
  constexpr const char* kRule = "must be a positive number";
  const double value = number(column, kRule);
  if (value <= 0) fail(column, kRule);
  return value;
}

double CsvRow::non_negative(std::size_t column) const {
  constexpr const char* kRule = "must be a non-negative number";
  const double value = number(column, kRule);
  if (value < 0) fail(column, kRule);
  return value;
}

std::optional<double> CsvRow::non_negative_if_stated(std::size_t column) const {
  if (fields_[column].empty()) return std::nullopt;
  return non_negative(column);
}

std::int64_t CsvRow::positive_int(std::size_t column) const {
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  const std::string_view digits = fields_[column];
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 1 || value > kMost)
    fail(column, "must be an integer from 1 to 2^40");
  return value;
}

CsvTable CsvTable::read(const std::filesystem::path& path) {
  CsvTable table;
  table.name_ = path.string();
  table.text_ = read_unpacked(path);
  const auto [header, next] = line_at(table.text_, 0);
  if (header.empty()) throw hw::InputError(table.name_ + ":1: must name the columns, got an empty line");
  std::vector<std::string_view> names;
  split(header, names);
  table.columns_.assign(names.begin(), names.end());
  for (auto name = table.columns_.begin(); name != table.columns_.end(); ++name)
    if (std::find(table.columns_.begin(), name, *name) != name)
      throw hw::InputError(table.name_ + ":1: " + hw::shortened(hw::printable(*name)) + ": must be named once");
  table.used_.resize(table.columns_.size());
  table.first_row_ = next;
  return table;
}

std::optional<std::size_t> CsvTable::find(std::string_view name) {
  const auto found = std::find(columns_.begin(), columns_.end(), name);
  if (found == columns_.end()) return std::nullopt;
  const auto index = static_cast<std::size_t>(found - columns_.begin());
  used_[index] = true;
  return index;
}

std::size_t CsvTable::column(std::string_view name) {
  if (const auto index = find(name)) return *index;
  throw hw::InputError(name_ + ":1: must have a column " + std::string(name) + ", got " +
                       hw::shortened(hw::printable(joined(columns_))));
}

void CsvTable::each_row(const std::function<void(const CsvRow&)>& visit) const {
  std::vector<std::string_view> fields;
  std::size_t line_number = 1;
  for (std::size_t from = first_row_; from < text_.size();) {
    const auto [line, next] = line_at(text_, from);
    from = next;
    ++line_number;
    if (line.empty()) continue;
    split(line, fields);
    if (fields.size() != columns_.size())
      throw hw::InputError(name_ + ":" + std::to_string(line_number) + ": must have " +
                           std::to_string(columns_.size()) + " fields, got " + std::to_string(fields.size()));
    visit(CsvRow(*this, line_number, fields));
  }
}

std::vector<std::string> CsvTable::unused() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < columns_.size(); ++i)
    if (!used_[i]) names.push_back(columns_[i]);
  return names;
}

std::optional<std::filesystem::path> find_table(const std::filesystem::path& folder, const std::string& name) {
  for (const char* ending : {".csv", ".csv.gz"})
    if (std::filesystem::exists(folder / (name + ending))) return folder / (name + ending);
  return std::nullopt;
}

}  // namespace calibration
