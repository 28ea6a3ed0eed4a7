// Whether layouts that compete are put in the right order.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "calibration/ordering.h"
#include "cli/validate.h"
#include "cli/wording.h"

namespace cli {
namespace {

using Align = TextTable::Align;
using calibration::Ordering;
using calibration::RowView;
using calibration::ValidatedRow;

Ordering ordering_of(const RowView& rows) { return calibration::summarize(rows).prediction.ordering; }

std::vector<std::string> cells_of(const Ordering& ordering) {
  if (ordering.groups == 0) return {"0", "0", "-", "-", "-"};
  return {std::to_string(ordering.groups), std::to_string(ordering.pairs),
          ordering.pairs > 0 ? percent_number(ordering.right_share()) : "-", percent_number(ordering.regret_mean()),
          percent_number(ordering.regret_max)};
}

/// The same rows as a refit predicts them that has not seen them.
RowView left_out(const Validation& validation, const RowView& rows) {
  RowView view;
  for (const ValidatedRow* row : rows)
    view.push_back(&validation.left_out.front().rows[static_cast<std::size_t>(row - validation.rows.data())]);
  return view;
}

void add_line(const std::string& name, const Validation& validation, const RowView& rows, TextTable& table) {
  std::vector<std::string> cells{name};
  for (const std::string& cell : cells_of(ordering_of(rows))) cells.push_back(cell);
  if (!validation.left_out.empty()) {
    const Ordering unseen = ordering_of(left_out(validation, rows));
    cells.push_back(unseen.pairs > 0 ? percent_number(unseen.right_share()) : "-");
    cells.push_back(unseen.groups > 0 ? percent_number(unseen.regret_mean()) : "-");
  }
  table.add(std::move(cells));
}

TextTable orders(const Validation& validation) {
  std::vector<TextTable::Column> columns{{"file"},
                                         {"groups", Align::right},
                                         {"pairs", Align::right},
                                         {"right %", Align::right},
                                         {"mean regret %", Align::right},
                                         {"largest %", Align::right}};
  if (!validation.left_out.empty()) {
    const std::string& key = validation.left_out.front().key;
    columns.push_back({"right %, " + key + " not seen", Align::right});
    columns.push_back({"mean regret %, " + key + " not seen", Align::right});
  }
  TextTable table(columns);
  for (const auto& [name, rows] : calibration::group_by(validation.rows, "file"))
    add_line(std::filesystem::path(name).filename().string(), validation, rows, table);
  add_line("all rows", validation, calibration::all_rows(validation.rows), table);
  return table;
}

/// Groups whose first pick is not the best.
TextTable regrets(const Validation& validation) {
  std::map<std::string, RowView> groups;
  for (const ValidatedRow& row : validation.rows)
    if (row.is_predicted()) groups[row.group].push_back(&row);
  TextTable table(
      {{"framework/model/system/GPUs/batch/sequence/release"}, {"picked"}, {"best"}, {"regret %", Align::right}});
  for (const auto& [name, rows] : groups) {
    const auto* picked = *std::ranges::min_element(rows, {}, &ValidatedRow::predicted);
    const auto* best = *std::ranges::min_element(rows, {}, &ValidatedRow::measured);
    if (picked == best) continue;
    table.add({name, picked->id, best->id, percent_number(picked->measured / best->measured - 1)});
  }
  return table;
}

}  // namespace

std::string order_markdown(const Validation& validation) {
  const TextTable wrong = regrets(validation);
  return orders(validation).markdown() + (wrong.empty() ? "" : "\nGroups whose first pick is not the best:\n\n") +
         (wrong.empty() ? "" : wrong.markdown());
}

}  // namespace cli
