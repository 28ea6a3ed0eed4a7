#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cli/validate.h"
#include "cli/wording.h"

namespace cli {
namespace {

using Align = TextTable::Align;
using calibration::ValidatedRow;

constexpr std::size_t kWorstRows = 20;

/// A path as it may stand in a document that travels: what is absolute shrinks to its file name.
std::string travelling(const std::string& path) {
  const std::filesystem::path given(path);
  return given.is_absolute() && given.has_filename() ? given.filename().string() : path;
}

std::string command_line(const std::vector<std::string>& arguments) {
  std::string line = "stepcast";
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.starts_with("--") ? argument.find('=') : std::string::npos;
    line +=
        " " + (equals == std::string::npos ? travelling(argument)
                                           : argument.substr(0, equals + 1) + travelling(argument.substr(equals + 1)));
  }
  return line;
}

/// `text` without `folder` + `/`, wherever it stands.
std::string without_folder(std::string text, const std::string& folder) {
  if (folder.empty() || folder == ".") return text;
  const std::string prefix = folder.ends_with('/') ? folder : folder + "/";
  for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at))
    text.erase(at, prefix.size());
  return text;
}

TextTable worst_rows(std::span<const ValidatedRow> rows) {
  std::vector<const ValidatedRow*> worst;
  for (const ValidatedRow& row : rows) {
    if (row.is_predicted()) worst.push_back(&row);
  }
  std::stable_sort(worst.begin(), worst.end(), [](const ValidatedRow* a, const ValidatedRow* b) {
    return std::abs(a->error()) > std::abs(b->error());
  });
  worst.resize(std::min(worst.size(), kWorstRows));
  TextTable table({{"id"},
                   {"model"},
                   {"system"},
                   {"gpus", Align::right},
                   {"predicted s", Align::right},
                   {"measured s", Align::right},
                   {"error %", Align::right},
                   {"marks"}});
  for (const ValidatedRow* row : worst) {
    table.add({row->id, row->model, row->system, std::to_string(row->gpus), four_digits(row->predicted.value),
               four_digits(row->measured.value), signed_percent_number(row->error()), marks_of(*row)});
  }
  return table;
}

std::string refused_rows(const Validation& validation) {
  TextTable table({{"id"}, {"file"}, {"reason"}});
  for (const ValidatedRow& row : validation.rows) {
    if (row.is_predicted()) continue;
    const std::string folder = std::filesystem::path(row.file).parent_path().string();
    table.add(
        {row.id, travelling(row.file), without_folder(without_folder(row.refused, folder), validation.data_folder)});
  }
  return table.empty() ? "None.\n" : table.markdown();
}

std::string cross_validation_markdown(const Validation& validation) {
  std::string out = "\n## Rows that the fit has not seen\n\n" + cross_validation_meaning(validation) + "\n";
  for (const TextTable& table : cross_validation_tables(validation)) out += "\n" + table.markdown();
  return out;
}

/// File names that travel, in place of the paths that a grouping by file has.
Validation::Grouping travelling_names(Validation::Grouping grouping) {
  if (grouping.key != "file") return grouping;
  for (auto& [name, summary] : grouping.groups) name = travelling(name);
  return grouping;
}

}  // namespace

std::string validation_markdown(const Validation& validation, const std::vector<std::string>& arguments) {
  std::string out = "# Accuracy\n\nPredictions against measured runs. Written by\n\n```sh\n" + command_line(arguments) +
                    "\n```\n\nPercentages throughout. " + std::string(kFiguresMeaning) +
                    " Percentiles interpolate linearly between order statistics.\n\n## All rows\n\n" +
                    overall_table(validation.summary).markdown();
  if (!validation.left_out.empty()) out += cross_validation_markdown(validation);
  for (const Validation::Grouping& grouping : validation.groupings)
    out += "\n## By " + grouping.key + "\n\n" + grouping_table(travelling_names(grouping)).markdown();
  out += fmt::format("\n## The {} rows that are furthest off\n\n", kWorstRows);
  out += worst_rows(validation.rows).markdown();
  out += "\nMarks: " + std::string(kMarksMeaning) + ".\n\n## Refused rows\n\n" + refused_rows(validation);
  return out;
}

}  // namespace cli
