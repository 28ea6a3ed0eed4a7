#include <fmt/format.h>

#include "cli/validate.h"
#include "cli/wording.h"

namespace cli {
namespace {

using Align = TextTable::Align;
using calibration::ValidatedRow;

TextTable row_table(std::span<const ValidatedRow> rows) {
  TextTable table({{"id"},
                   {"model"},
                   {"system"},
                   {"gpus", Align::right},
                   {"precision"},
                   {"predicted s", Align::right},
                   {"measured s", Align::right},
                   {"error %", Align::right},
                   {"predicted GiB", Align::right},
                   {"measured GiB", Align::right},
                   {""}});
  for (const ValidatedRow& row : rows) {
    const bool predicted = row.is_predicted();
    table.add({row.id.empty() ? fmt::format("(line {})", row.line) : row.id, row.model, row.system,
               row.gpus > 0 ? std::to_string(row.gpus) : "", row.precision,
               predicted ? four_digits(row.predicted.value) : "refused",
               row.measured.value > 0 ? four_digits(row.measured.value) : "",
               predicted ? signed_percent_number(row.error()) : "", predicted ? gib_number(row.memory_predicted) : "",
               row.has_memory() ? gib_number(row.memory_measured) : "", marks_of(row)});
  }
  return table.without_empty_columns();
}

std::string refusals(std::span<const ValidatedRow> rows, std::size_t width) {
  std::string out;
  for (const ValidatedRow& row : rows) {
    if (row.is_predicted()) continue;
    out += paragraph("  - ", (row.id.empty() ? "" : row.id + ": ") + row.refused, width);
  }
  return out.empty() ? "" : "\nrefused\n" + out;
}

}  // namespace

std::string validation_text(const Validation& validation, const PageWidth& width) {
  std::string out = row_table(validation.rows).text(width.table);
  out += paragraph("", kMarksMeaning, width.prose);
  out += refusals(validation.rows, width.prose);
  if (validation.summary.prediction.n == 0) return out;
  for (const Validation::Grouping& grouping : validation.groupings) {
    if (grouping.key == "file" && grouping.groups.size() < 2) continue;
    out += "\n" + grouping_table(grouping).text(width.table);
  }
  for (const TextTable& table : cross_validation_tables(validation)) out += "\n" + table.text(width.table);
  if (!validation.left_out.empty()) out += paragraph("", cross_validation_meaning(validation), width.prose);
  out += "\n" + overall_table(validation.summary).text(width.table);
  return out + paragraph("", kFiguresMeaning, width.prose);
}

}  // namespace cli
