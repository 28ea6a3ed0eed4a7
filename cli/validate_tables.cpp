#include <fmt/format.h>

#include "cli/validate.h"
#include "cli/wording.h"

namespace cli {
namespace {

using calibration::ErrorSummary;
using Align = TextTable::Align;

std::string known(bool is_known, const std::string& text) { return is_known ? text : "-"; }

}  // namespace

TextTable overall_table(const calibration::Summary& summary) {
  TextTable table({{"all rows"}, {"stepcast", Align::right}, {"constant MFU", Align::right}});
  const ErrorSummary& ours = summary.prediction;
  const ErrorSummary& rival = summary.rival;
  const auto add = [&](const char* what, auto figure) { table.add({what, figure(ours), figure(rival)}); };
  const auto ratio = [](double ErrorSummary::*member) {
    return [member](const ErrorSummary& errors) { return known(errors.n > 0, percent_text(errors.*member)); };
  };
  add("predicted", [](const ErrorSummary& errors) { return std::to_string(errors.n); });
  add("refused", [](const ErrorSummary& errors) { return std::to_string(errors.refused); });
  add("median |error|", ratio(&ErrorSummary::median_abs));
  add("mean |error|", ratio(&ErrorSummary::mean_abs));
  add("90th percentile of |error|", ratio(&ErrorSummary::p90_abs));
  add("largest |error|", ratio(&ErrorSummary::max_abs));
  add("bias (median error)",
      [](const ErrorSummary& errors) { return known(errors.n > 0, signed_percent_number(errors.bias) + " %"); });
  add("80 % interval covers", ratio(&ErrorSummary::coverage));
  add("pairs compared", [](const ErrorSummary& errors) { return std::to_string(errors.ordering.pairs); });
  add("pairs in the right order", [](const ErrorSummary& errors) {
    return known(errors.ordering.pairs > 0, percent_text(errors.ordering.right_share()));
  });
  add("regret of the first pick, mean", [](const ErrorSummary& errors) {
    return known(errors.ordering.groups > 0, percent_text(errors.ordering.regret_mean()));
  });
  add("regret of the first pick, largest", [](const ErrorSummary& errors) {
    return known(errors.ordering.groups > 0, percent_text(errors.ordering.regret_max));
  });
  table.add({"rows with measured memory", std::to_string(ours.memory_n), "-"});
  table.add({"memory, median |error|", known(ours.memory_n > 0, percent_text(ours.memory_median_abs)), "-"});
  table.add({"memory, largest |error|", known(ours.memory_n > 0, percent_text(ours.memory_max_abs)), "-"});
  return table;
}

TextTable grouping_table(const Validation::Grouping& grouping) {
  TextTable table({{"by " + grouping.key},
                   {"n", Align::right},
                   {"refused", Align::right},
                   {"median", Align::right},
                   {"mean", Align::right},
                   {"p90", Align::right},
                   {"max", Align::right},
                   {"bias", Align::right},
                   {"covers", Align::right},
                   {"pairs", Align::right},
                   {"regret", Align::right},
                   {"memory", Align::right},
                   {"constant MFU", Align::right}});
  for (const auto& [name, summary] : grouping.groups) {
    const ErrorSummary& errors = summary.prediction;
    const bool any = errors.n > 0;
    const calibration::Ordering& ordering = errors.ordering;
    table.add({name, std::to_string(errors.n), errors.refused > 0 ? std::to_string(errors.refused) : "",
               known(any, percent_number(errors.median_abs)), known(any, percent_number(errors.mean_abs)),
               known(any, percent_number(errors.p90_abs)), known(any, percent_number(errors.max_abs)),
               known(any, signed_percent_number(errors.bias)), known(any, fmt::format("{:.0f}", 100 * errors.coverage)),
               ordering.pairs > 0 ? fmt::format("{:.0f}", 100 * ordering.right_share()) : "",
               ordering.groups > 0 ? percent_number(ordering.regret_mean()) : "",
               errors.memory_n > 0 ? percent_number(errors.memory_median_abs) : "",
               summary.rival.n > 0 ? percent_number(summary.rival.median_abs) : "-"});
  }
  return table.without_empty_columns();
}

std::string marks_of(const calibration::ValidatedRow& row) {
  std::string marks;
  if (row.derived) marks += 'd';
  if (row.assumed) marks += 'a';
  if (row.is_predicted() && !row.fits()) marks += 'm';
  return marks;
}

}  // namespace cli
