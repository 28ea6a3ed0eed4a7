#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cli {

/// Columns of text (left) and numbers (right), two spaces apart. In a narrow terminal cells of text are broken over
/// lines, numbers never: they may then stick out.
class TextTable {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };

  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// A cell for each column, or fewer.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// A line of dashes above the next row.
  void rule() { rules_.push_back(rows_.size()); }
  /// Leaves out the columns in which no row has anything.
  TextTable without_empty_columns() const;
  bool empty() const { return rows_.empty(); }

  /// `width` characters a line at most, 0 = as many as needed. Titles are left out if all are empty.
  std::string text(std::size_t width, std::size_t indent = 0) const;
  /// A Markdown table (GitHub); `|` in cells is escaped.
  std::string markdown() const;

 private:
  std::vector<std::size_t> widths(std::size_t width, std::size_t indent) const;
  const std::string& cell(std::size_t row, std::size_t column) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> rules_;
};

/// Characters that a terminal shows for UTF-8 text, one a code point.
std::size_t shown_width(std::string_view text);

/// Breaks text at spaces into lines of at most `width`; a longer word is broken after `-`, `/`, `_` or where it must.
std::vector<std::string> wrapped(std::string_view text, std::size_t width);

/// wrapped() as one text: the first line after `first`, the others indented to match it.
std::string paragraph(const std::string& first, std::string_view text, std::size_t width);

}  // namespace cli
