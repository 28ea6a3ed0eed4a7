#include "cli/calibrate_runs.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "calibration/conformal.h"
#include "calibration/cross_validation.h"
#include "calibration/measured_runs.h"
#include "calibration/runs_fit.h"
#include "cli/data_directory.h"
#include "cli/json_writer.h"
#include "cli/output_file.h"
#include "cli/terminal.h"
#include "cli/text_table.h"
#include "cli/wording.h"
#include "hw/input_error.h"
#include "hw/node_edit.h"

namespace cli {
namespace {

using Align = TextTable::Align;

std::string fit_text(const calibration::RunsFit& fit, const PageWidth& width) {
  TextTable table({{"parameter"},
                   {"prior", Align::right},
                   {"fitted", Align::right},
                   {"80 % interval", Align::right},
                   {"the runs tell", Align::right}});
  int identified = 0;
  for (const calibration::FittedParameter& fitted : fit.parameters) {
    identified += fitted.identified;
    table.add({fitted.parameter.name, four_digits(fitted.prior), four_digits(fitted.value),
               four_digits(fitted.low) + " - " + four_digits(fitted.high),
               fitted.identified ? fmt::format("{:.0f} %", 100 * fitted.learned) : "no: prior kept"});
  }
  return table.text(width.table) +
         fmt::format(
             "\n{} step times, {} parameters, {} of them identified\nmedian |log error| {} at the prior, {} "
             "fitted; robust standard deviation {}\n",
             fit.rows, fit.parameters.size(), identified, percent_text(fit.before), percent_text(fit.after),
             percent_text(fit.scale));
}

std::string fit_json(const calibration::RunsFit& fit) {
  JsonWriter json;
  json.begin_object().member("rows", fit.rows).member("before", fit.before).member("after", fit.after);
  json.member("scale", fit.scale).key("parameters").begin_array();
  for (const calibration::FittedParameter& fitted : fit.parameters) {
    json.begin_object().member("name", fitted.parameter.name).member("prior", fitted.prior);
    json.member("value", fitted.value).member("low", fitted.low).member("high", fitted.high);
    json.member("identified", fitted.identified).member("learned", fitted.learned);
    json.member("why", fitted.parameter.why).end_object();
  }
  return json.end_array().end_object().text();
}

std::string first_refusal(const calibration::MeasuredRuns& runs) {
  for (const calibration::ValidatedRow& row : runs.rows())
    if (!row.refused.empty()) return row.refused;
  return "";
}

/// Where a number's source stands: beside `value`, or in the object that holds the list of numbers.
std::string source_of(const std::string& pointer) {
  const std::string holder = pointer.substr(0, pointer.rfind('/'));
  const std::size_t pointwise = pointer.find("/pointwise/");
  if (pointwise == std::string::npos || pointer.ends_with("/value")) return holder + "/source";
  return pointer.substr(0, pointwise) + "/pointwise/source";
}

/// The fitted profile with its name, and the origin of each number that was fitted.
hw::Node documented(const calibration::RunsFit& fit, const hw::Node& prior, const std::string& name) {
  const std::string date = today();
  std::map<std::string, std::string> texts;
  texts["/profile"] = name;
  texts["/date"] = date;
  texts["/remarks/0"] = fmt::format(
      "Numbers were fitted by calibrate runs to {} step times, from profile {}; operator curves by calibrate ops to "
      "public "
      "tables of bursts.",
      fit.rows, prior.at("profile").text());
  for (const calibration::FittedParameter& fitted : fit.parameters) {
    if (!fitted.identified) continue;
    for (const std::string& pointer : fitted.parameter.values) {
      const std::string source = source_of(pointer);
      const std::string holder = source.substr(0, source.rfind('/'));
      if (calibration::node_at(prior, holder).has("origin")) texts[holder + "/origin"] = "runs";
      texts[source] = fmt::format("fitted {} to {} step times with the others; before: {}", date, fit.rows,
                                  calibration::node_at(prior, source).text());
    }
  }
  return fit.profile.with({texts.begin(), texts.end()});
}

hw::Node with_intervals(const calibration::MeasuredRuns& runs, const calibration::RunsFitter& fitter,
                        const hw::Node& profile) {
  std::vector<calibration::CrossValidation> cross;
  for (const char* key : {"layout", "model", "system", "framework"})
    cross.push_back(calibration::cross_validate(runs, fitter, key, sim::Tier::closed_form));
  const std::string source = fmt::format("residuals of {} step times, each left out of the fit", fitter.all().rows);
  return hw::replaced(profile, {{"/intervals", calibration::intervals_node(calibration::intervals_of(cross), source)}});
}

}  // namespace

Answer calibrate_runs(const CalibrateRunsOptions& options, const models::DataDirectory& data) {
  if (options.files.empty()) throw hw::InputError("calibrate runs: needs RUNS.jsonl, measured runs (docs/runs.md)");
  if (options.intervals && options.out.empty()) throw hw::InputError("--intervals: needs --out PROFILE.json");
  const hw::Node prior = read_profile(options.prior, data);
  const std::vector<calibration::FitParameter> plan = read_fit_plan(options.plan, prior, data);
  for (const calibration::FitParameter& parameter : plan)  // before minutes of work, not after
    for (const std::string& pointer : parameter.values) calibration::node_at(prior, source_of(pointer)).text();
  models::Library library(data);
  const std::vector<std::filesystem::path> files(options.files.begin(), options.files.end());
  const calibration::MeasuredRuns runs(files, library);
  if (runs.runs().empty())
    throw hw::InputError("calibrate runs: no row can be used, the first because of " + first_refusal(runs));
  const calibration::RunsFitter fitter(runs, prior, plan);
  Answer answer{.out = fit_text(fitter.all(), page_width())};
  const std::size_t refused = runs.rows().size() - runs.runs().size();
  if (refused > 0)
    answer.diagnostics = std::to_string(refused) + " rows not used: stepcast validate says why, the first because of " +
                         first_refusal(runs) + "\n";
  if (!options.out.empty()) {
    hw::Node profile = documented(fitter.all(), prior, std::filesystem::path(options.out).stem().string());
    if (options.intervals) profile = with_intervals(runs, fitter, profile);
    write_file(options.out, profile.pretty());
  }
  place_json(options.json, fit_json(fitter.all()), answer.out);
  return answer;
}

}  // namespace cli
