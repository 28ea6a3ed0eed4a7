#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "calibration/cross_validation.h"
#include "calibration/error_summary.h"
#include "calibration/validation.h"
#include "cli/answer.h"
#include "cli/terminal.h"
#include "cli/text_table.h"
#include "models/run.h"

namespace cli {

/// `stepcast validate`: measured runs, predicted.
struct ValidateOptions {
  std::vector<std::string> files;
  std::string json, markdown;               ///< where to write; empty: not
  std::string order;                        ///< where to write how well competing layouts are ordered; empty: not
  std::string fail_above;                   ///< ratio, or percentage with %; empty: never
  std::vector<std::string> by;              ///< of calibration::kGroupKeys; empty: framework, model, system, family
  std::vector<std::string> cross_validate;  ///< of calibration::kFoldKeys
  std::vector<std::string> subsets;         ///< NAME=FILE,FILE...: files whose rows are summed up together
  std::string profile;                      ///< as read_profile()
  std::string prior = "tables";             ///< where refits start, as read_profile()
  std::string plan;                         ///< as read_fit_plan()
  std::string tier = "events";              ///< or `closed`
};

/// Throws hw::InputError. `arguments`: the command line, for the Markdown. Status kNo where the median |error| is above
/// --fail-above, or where that is asked of files without a row that can be predicted.
Answer validate(const ValidateOptions& options, const models::DataDirectory& data,
                const std::vector<std::string>& arguments);

/// What was validated, grouped for printing.
struct Validation {
  std::span<const calibration::ValidatedRow> rows;
  calibration::Summary summary;  ///< of all rows
  struct Grouping {
    std::string key;
    std::vector<std::pair<std::string, calibration::Summary>> groups;  ///< sorted by name
  };
  std::vector<Grouping> groupings;
  std::vector<calibration::CrossValidation> left_out;
  int fitted_parameters = 0;  ///< of each refit
  struct Subset {
    std::string name;
    std::vector<std::string> files;
  };
  std::vector<Subset> subsets;
  std::string data_folder;  ///< cut from refusals in the Markdown
};

/// The forms of an answer: docs/cli.md.
std::string validation_text(const Validation& validation, const PageWidth& width);
std::string validation_json(const Validation& validation);
std::string validation_markdown(const Validation& validation, const std::vector<std::string>& arguments);

/// Of groups of layouts that compete: pairs put in the right order and regret, by file, with the first of the refits
/// beside it; and the groups whose first pick is not the best.
std::string order_markdown(const Validation& validation);

/// Errors of rows that refits have not seen, and coverage of the intervals, beside those of `rows`. Empty without any.
std::vector<TextTable> cross_validation_tables(const Validation& validation);
std::string cross_validation_meaning(const Validation& validation);

/// Tables that text and Markdown share.
TextTable overall_table(const calibration::Summary& summary);
TextTable grouping_table(const Validation::Grouping& grouping);
std::string marks_of(const calibration::ValidatedRow& row);

/// What the tables mean, for people.
inline constexpr std::string_view kMarksMeaning =
    "d: the measured time is derived from another published figure; a: something the description does not state was "
    "assumed; m: predicted not to fit, though it ran";
inline constexpr std::string_view kFiguresMeaning =
    "error: predicted / measured - 1. bias: median error. covers: share of rows inside their 80 % interval. pairs: of "
    "layouts of the same model, machine and batch that differ by 2 % or more, share put in the right order. regret: "
    "measured time of the layout predicted fastest over the best, less 1. constant MFU: the rival that gives each row "
    "the median measured MFU of the other rows of its system.";

}  // namespace cli
