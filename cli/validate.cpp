#include "cli/validate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "cli/data_directory.h"
#include "cli/output_file.h"
#include "cli/predict.h"
#include "cli/wording.h"
#include "hw/error_text.h"
#include "hw/input_error.h"
#include "hw/node.h"

namespace cli {
namespace {

std::optional<double> parse_limit(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const bool percent = text.ends_with('%');
  const std::string_view digits = text.substr(0, text.size() - (percent ? 1 : 0));
  double limit = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), limit);
  if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(limit) || limit < 0)
    throw hw::InputError("--fail-above: must be a non-negative number such as 0.15 or 15%, got " +
                         hw::shortened(hw::printable(text)));
  return percent ? limit / 100 : limit;
}

/// Refuses what `flag` states and is not `known`.
void check_keys(const std::string& flag, const std::vector<std::string>& stated,
                std::span<const std::string_view> known) {
  const std::vector<std::string> keys(known.begin(), known.end());
  for (auto key = stated.begin(); key != stated.end(); ++key)
    if (std::find(stated.begin(), key, *key) != key)
      throw hw::InputError(flag + ": must name each key once, got " + hw::shortened(hw::printable(*key)) + " twice");
  for (const std::string& key : stated) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    const auto meant = hw::nearest(key, keys);
    throw hw::InputError(fmt::format("{}: must be one of {}, got {}{}", flag, fmt::join(keys, ", "),
                                     hw::shortened(hw::printable(key)),
                                     meant ? " (did you mean " + *meant + "?)" : ""));
  }
}

std::vector<std::string> parse_keys(const std::vector<std::string>& stated) {
  if (stated.empty()) return {"framework", "model", "system", "family"};
  check_keys("--by", stated, calibration::kGroupKeys);
  return stated;
}

Validation grouped_rows(std::span<const calibration::ValidatedRow> rows, std::vector<std::string> keys) {
  Validation validation;
  validation.rows = rows;
  validation.summary = calibration::summarize(calibration::all_rows(rows));
  if (std::find(keys.begin(), keys.end(), "file") == keys.end()) keys.insert(keys.begin(), "file");
  for (const std::string& key : keys) {
    Validation::Grouping grouping{key, {}};
    for (const auto& [name, view] : calibration::group_by(rows, key))
      grouping.groups.emplace_back(name, calibration::summarize(view));
    validation.groupings.push_back(std::move(grouping));
  }
  return validation;
}

/// The verdict on --fail-above, appended to the text.
void judge(const calibration::ErrorSummary& errors, std::optional<double> limit, Answer& answer) {
  if (!limit) return;
  if (errors.n == 0) {
    answer.status = kNo;
    answer.diagnostics += "--fail-above: no row could be predicted\n";
  } else if (errors.median_abs > *limit) {
    answer.status = kNo;
    answer.diagnostics += fmt::format("--fail-above: the median |error| is {}, above {}\n",
                                      percent_text(errors.median_abs), percent_text(*limit));
  }
}

std::vector<Validation::Subset> parse_subsets(const ValidateOptions& options) {
  std::vector<Validation::Subset> subsets;
  for (const std::string& stated : options.subsets) {
    const std::size_t equals = stated.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw hw::InputError("--subset: must be NAME=FILE,FILE..., got " + hw::shortened(hw::printable(stated)));
    Validation::Subset& subset = subsets.emplace_back();
    subset.name = stated.substr(0, equals);
    for (std::size_t from = equals + 1; from <= stated.size();) {
      const std::size_t end = std::min(stated.find(',', from), stated.size());
      subset.files.push_back(stated.substr(from, end - from));
      if (std::find(options.files.begin(), options.files.end(), subset.files.back()) == options.files.end())
        throw hw::InputError("--subset: must name files of RUNS.jsonl, got " +
                             hw::shortened(hw::printable(subset.files.back())));
      from = end + 1;
    }
  }
  return subsets;
}

/// Refits, and predicts what each has not seen.
void leave_out(const ValidateOptions& options, const models::DataDirectory& data, const calibration::MeasuredRuns& runs,
               sim::Tier tier, Validation& validation) {
  if (options.cross_validate.empty()) return;
  const hw::Node prior = read_profile(options.prior, data);
  const calibration::RunsFitter fitter(runs, prior, read_fit_plan(options.plan, prior, data));
  validation.fitted_parameters = static_cast<int>(fitter.all().parameters.size());
  for (const std::string& key : options.cross_validate)
    validation.left_out.push_back(calibration::cross_validate(runs, fitter, key, tier));
}

}  // namespace

Answer validate(const ValidateOptions& options, const models::DataDirectory& data,
                const std::vector<std::string>& arguments) {
  if (options.files.empty()) throw hw::InputError("validate: needs RUNS.jsonl, measured runs (docs/runs.md)");
  const sim::Tier tier = parse_tier(options.tier);
  const std::optional<double> limit = parse_limit(options.fail_above);
  const std::vector<std::string> keys = parse_keys(options.by);
  if (options.markdown == "-") throw hw::InputError("--markdown: must be a file, got -");
  check_keys("--cross-validate", options.cross_validate, calibration::kFoldKeys);
  std::vector<Validation::Subset> subsets = parse_subsets(options);

  models::Library library(data);
  const std::vector<std::filesystem::path> files(options.files.begin(), options.files.end());
  const calibration::MeasuredRuns runs(files, library);
  const auto rows = calibration::validate(runs, read_profile(options.profile, data), tier);
  Validation validation = grouped_rows(rows, keys);
  validation.subsets = std::move(subsets);
  leave_out(options, data, runs, tier, validation);
  validation.data_folder = data.path.string();

  Answer answer{.out = validation_text(validation, page_width())};
  if (validation.summary.prediction.n == 0) answer.diagnostics = "no row could be predicted: the reasons are above\n";
  if (options.json == "-" && validation.summary.prediction.n == 0)
    answer.diagnostics = "no row could be predicted: `refused` of each row says why\n";
  judge(validation.summary.prediction, limit, answer);
  if (!options.markdown.empty()) write_file(options.markdown, validation_markdown(validation, arguments));
  if (!options.order.empty()) write_file(options.order, order_markdown(validation));
  place_json(options.json, validation_json(validation), answer.out);
  return answer;
}

}  // namespace cli
