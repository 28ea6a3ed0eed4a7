#include "cli/text_table.h"

#include <algorithm>
#include <numeric>

namespace cli {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowest = 6;  ///< of a column of text

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

/// Bytes of the first `characters` of `text`.
std::size_t bytes_of(std::string_view text, std::size_t characters) {
  std::size_t at = 0;
  for (std::size_t n = 0; at < text.size(); ++at) {
    if (!continues_character(text[at]) && n++ == characters) break;
  }
  return at;
}

/// Where a line of at most `width` characters of `text`, which is longer, ends: behind a space, else behind a joint of
/// a word, else where it must.
std::size_t break_point(std::string_view text, std::size_t width) {
  const std::size_t most = bytes_of(text, width);
  const std::size_t space = text.substr(0, most + 1).rfind(' ');
  if (space != std::string_view::npos && space > 0) return space;
  const std::size_t joint = text.substr(0, most).find_last_of("-/_,;:");
  return joint == std::string_view::npos || joint == 0 ? std::max<std::size_t>(most, 1) : joint + 1;
}

std::string padded(std::string_view text, std::size_t width, TextTable::Align align) {
  const std::size_t shown = shown_width(text);
  const std::string fill(width > shown ? width - shown : 0, ' ');
  return align == TextTable::Align::right ? fill + std::string(text) : std::string(text) + fill;
}

void append_line(std::string& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + "\n";
}

std::string without_bars(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c == '\n' ? ' ' : c;
  }
  return result;
}

}  // namespace

std::size_t shown_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !continues_character(c); }));
}

std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  while (width > 0 && shown_width(text) > width) {
    const std::size_t end = break_point(text, width);
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  }
  lines.emplace_back(text);
  return lines;
}

std::string paragraph(const std::string& first, std::string_view text, std::size_t width) {
  const std::size_t indent = shown_width(first);
  std::string out;
  for (const std::string& line : wrapped(text, width > indent + kNarrowest ? width - indent : 0))
    append_line(out, (out.empty() ? first : std::string(indent, ' ')) + line);
  return out;
}

const std::string& TextTable::cell(std::size_t row, std::size_t column) const {
  static const std::string nothing;
  return column < rows_[row].size() ? rows_[row][column] : nothing;
}

TextTable TextTable::without_empty_columns() const {
  TextTable result({});
  result.rules_ = rules_;
  result.rows_.resize(rows_.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    bool is_empty = true;
    for (std::size_t r = 0; r < rows_.size(); ++r) is_empty &= cell(r, c).empty();
    if (is_empty) continue;
    result.columns_.push_back(columns_[c]);
    for (std::size_t r = 0; r < rows_.size(); ++r) result.rows_[r].push_back(cell(r, c));
  }
  return result;
}

/// What each column needs; if that is too much, the widest columns of text give way first.
std::vector<std::size_t> TextTable::widths(std::size_t width, std::size_t indent) const {
  std::vector<std::size_t> result;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t widest = shown_width(columns_[c].title);
    for (std::size_t r = 0; r < rows_.size(); ++r) widest = std::max(widest, shown_width(cell(r, c)));
    result.push_back(widest);
  }
  const auto total = [&] { return std::accumulate(result.begin(), result.end(), indent + kGap * (result.size() - 1)); };
  while (width > 0 && total() > width) {
    std::size_t* widest = nullptr;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (columns_[c].align == Align::left && (!widest || result[c] > *widest)) widest = &result[c];
    }
    if (!widest || *widest <= kNarrowest) break;
    --*widest;
  }
  return result;
}

std::string TextTable::text(std::size_t width, std::size_t indent) const {
  if (columns_.empty()) return "";
  const std::vector<std::size_t> sizes = widths(width, indent);
  std::string out;
  const auto add_row = [&](const auto& cell_of) {
    std::vector<std::vector<std::string>> cells;
    std::size_t height = 1;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      cells.push_back(columns_[c].align == Align::left ? wrapped(cell_of(c), sizes[c])
                                                       : std::vector<std::string>{cell_of(c)});
      height = std::max(height, cells.back().size());
    }
    for (std::size_t i = 0; i < height; ++i) {
      std::string line(indent, ' ');
      for (std::size_t c = 0; c < columns_.size(); ++c) {
        const std::string part = i < cells[c].size() ? cells[c][i] : "";
        line += (c == 0 ? "" : std::string(kGap, ' ')) + padded(part, sizes[c], columns_[c].align);
      }
      append_line(out, std::move(line));
    }
  };
  const std::string dashes(std::accumulate(sizes.begin(), sizes.end(), kGap * (sizes.size() - 1)), '-');
  const auto add_dashes = [&] { append_line(out, std::string(indent, ' ') + dashes); };
  if (std::any_of(columns_.begin(), columns_.end(), [](const Column& column) { return !column.title.empty(); })) {
    add_row([&](std::size_t c) { return columns_[c].title; });
    add_dashes();
  }
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    if (std::find(rules_.begin(), rules_.end(), r) != rules_.end()) add_dashes();
    add_row([&](std::size_t c) { return cell(r, c); });
  }
  return out;
}

std::string TextTable::markdown() const {
  std::string out = "|", marks = "|";
  for (const Column& column : columns_) {
    out += " " + without_bars(column.title) + " |";
    marks += column.align == Align::right ? " ---: |" : " --- |";
  }
  out += "\n" + marks + "\n";
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    out += "|";
    for (std::size_t c = 0; c < columns_.size(); ++c) out += " " + without_bars(cell(r, c)) + " |";
    out += "\n";
  }
  return out;
}

}  // namespace cli
