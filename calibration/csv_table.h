#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace calibration {

class CsvTable;

/// One line of a table. Its readers throw hw::InputError `file:line: column: rule, got "..."`.
class CsvRow {
 public:
  CsvRow(const CsvTable& table, std::size_t line, const std::vector<std::string_view>& fields)
      : table_(table), line_(line), fields_(fields) {}

  std::string_view text(std::size_t column) const { return fields_[column]; }
  double positive(std::size_t column) const;
  double non_negative(std::size_t column) const;
  std::int64_t positive_int(std::size_t column) const;  ///< at most 2^40
  /// Nothing where the field is empty.
  std::optional<double> non_negative_if_stated(std::size_t column) const;
  [[noreturn]] void fail(std::size_t column, const std::string& rule) const;

 private:
  double number(std::size_t column, const char* rule) const;

  const CsvTable& table_;
  std::size_t line_;
  const std::vector<std::string_view>& fields_;
};

/// A CSV file (RFC 4180 on one line a row: fields in double quotes may hold commas), plain or gzip'd, whose first line
/// names the columns. Empty lines are skipped.
class CsvTable {
 public:
  /// Throws hw::InputError where the file cannot be read, has no header, or names a column twice.
  static CsvTable read(const std::filesystem::path& path);

  /// Throws hw::InputError naming the columns that there are.
  std::size_t column(std::string_view name);
  std::optional<std::size_t> find(std::string_view name);
  /// Throws hw::InputError for a row with more or fewer fields than the header.
  void each_row(const std::function<void(const CsvRow&)>& visit) const;
  /// Columns that nobody asked for.
  std::vector<std::string> unused() const;

  const std::string& name() const { return name_; }
  std::string_view column_name(std::size_t column) const { return columns_[column]; }

 private:
  std::string name_, text_;
  std::size_t first_row_ = 0;  ///< byte
  std::vector<std::string> columns_;
  std::vector<bool> used_;
};

/// DIR/NAME.csv or DIR/NAME.csv.gz, whichever is there.
std::optional<std::filesystem::path> find_table(const std::filesystem::path& folder, const std::string& name);

}  // namespace calibration
