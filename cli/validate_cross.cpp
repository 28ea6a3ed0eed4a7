#include <fmt/format.h>

#include <algorithm>

#include "cli/validate.h"
#include "cli/wording.h"

namespace cli {
namespace {

using calibration::RowView;
using calibration::ValidatedRow;
using Align = TextTable::Align;

/// `4.5 / 13.1 / 31.0`: median, 90th percentile and largest |error| in percent.
std::string errors_cell(const RowView& rows) {
  const calibration::ErrorSummary errors = calibration::summarize(rows).prediction;
  if (errors.n == 0) return "-";
  return percent_number(errors.median_abs) + " / " + percent_number(errors.p90_abs) + " / " +
         percent_number(errors.max_abs);
}

std::string coverage_cell(const RowView& rows) {
  const calibration::ErrorSummary errors = calibration::summarize(rows).prediction;
  return errors.n == 0 ? "-" : fmt::format("{:.0f}", 100 * errors.coverage);
}

TextTable started(const std::string& title, const Validation& validation) {
  std::vector<TextTable::Column> columns{{title}, {"n", Align::right}, {"in sample", Align::right}};
  for (const calibration::CrossValidation& cross : validation.left_out)
    columns.push_back({fmt::format("{} ({})", cross.key, cross.folds), Align::right});
  return TextTable(columns);
}

/// One line of a table: `cell` of the same rows, in sample and left out.
template <typename Cell>
void add_line(TextTable& table, const Validation& validation, const std::string& name, const RowView& rows,
              const Cell& cell) {
  std::vector<std::string> cells{name, std::to_string(calibration::summarize(rows).prediction.n), cell(rows)};
  for (const calibration::CrossValidation& cross : validation.left_out) {
    RowView left_out;
    for (const ValidatedRow* row : rows)
      left_out.push_back(&cross.rows[static_cast<std::size_t>(row - validation.rows.data())]);
    cells.push_back(cell(left_out));
  }
  table.add(cells);
}

template <typename Cell>
TextTable table_of(const std::string& title, const Validation& validation, std::initializer_list<std::string_view> keys,
                   const Cell& cell) {
  TextTable table = started(title, validation);
  add_line(table, validation, "all rows", calibration::all_rows(validation.rows), cell);
  for (const Validation::Subset& subset : validation.subsets) {
    RowView rows;
    for (const ValidatedRow& row : validation.rows)
      if (std::find(subset.files.begin(), subset.files.end(), row.file) != subset.files.end()) rows.push_back(&row);
    add_line(table, validation, subset.name, rows, cell);
  }
  for (const std::string_view key : keys)
    for (const auto& [name, rows] : calibration::group_by(validation.rows, key))
      add_line(table, validation, name, rows, cell);
  return table;
}

}  // namespace

std::vector<TextTable> cross_validation_tables(const Validation& validation) {
  if (validation.left_out.empty()) return {};
  return {table_of("median / p90 / max |error|", validation, {"file", "family", "system"}, errors_cell),
          table_of("80 % interval covers", validation, {"family", "system", "framework"}, coverage_cell)};
}

std::string cross_validation_meaning(const Validation& validation) {
  return fmt::format(
      "Each column leaves out one value of its key after the other (in brackets: how many), fits {} parameters to the "
      "other rows and predicts those left out. layout: a fifth of the configurations, by hash, with all their rows. "
      "Intervals come from the residuals of the other folds.",
      validation.fitted_parameters);
}

}  // namespace cli
