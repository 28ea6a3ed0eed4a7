#include "cli/calibrate_runs.h"

#include <fmt/format.h>

#include <filesystem>

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
    json.member("identified", fitted.identified).member("learned", fitted.learned).end_object();
  }
  return json.end_array().end_object().text();
}

hw::Node with_intervals(const calibration::MeasuredRuns& runs, const calibration::RunsFitter& fitter) {
  std::vector<calibration::CrossValidation> cross;
  for (const char* key : {"layout", "model", "system", "framework"})
    cross.push_back(calibration::cross_validate(runs, fitter, key, sim::Tier::closed_form));
  const std::string source =
      "residuals of " + std::to_string(fitter.all().rows) + " step times, each left out of the fit";
  return hw::replaced(fitter.all().profile,
                      {{"/intervals", calibration::intervals_node(calibration::intervals_of(cross), source)}});
}

}  // namespace

Answer calibrate_runs(const CalibrateRunsOptions& options, const models::DataDirectory& data) {
  if (options.files.empty()) throw hw::InputError("calibrate runs: needs RUNS.jsonl, measured runs (docs/runs.md)");
  const hw::Node prior = read_profile(options.prior, data);
  const std::vector<calibration::FitParameter> plan = read_fit_plan(options.plan, prior, data);
  models::Library library(data);
  const std::vector<std::filesystem::path> files(options.files.begin(), options.files.end());
  const calibration::MeasuredRuns runs(files, library);
  const calibration::RunsFitter fitter(runs, prior, plan);
  Answer answer{.out = fit_text(fitter.all(), page_width())};
  const hw::Node profile = options.intervals ? with_intervals(runs, fitter) : fitter.all().profile;
  if (!options.out.empty()) write_file(options.out, profile.pretty());
  place_json(options.json, fit_json(fitter.all()), answer.out);
  return answer;
}

}  // namespace cli
