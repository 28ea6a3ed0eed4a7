#include "cli/calibrate_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>
#include <vector>

#include "calibration/operator_fit.h"
#include "cli/data_directory.h"
#include "cli/json_writer.h"
#include "cli/output_file.h"
#include "cli/terminal.h"
#include "cli/text_table.h"
#include "cli/wording.h"
#include "hw/efficiency.h"
#include "hw/input_error.h"

namespace cli {
namespace {

using Align = TextTable::Align;

/// The machines that a folder of data describes, by name.
std::map<std::string, hw::Cluster> read_machines(const models::DataDirectory& data) {
  std::map<std::string, hw::Cluster> machines;
  for (const auto& entry : std::filesystem::directory_iterator(data.path / "hw")) {
    if (entry.path().extension() != ".json") continue;
    hw::Cluster machine = hw::parse_cluster(hw::Node::read_file(entry.path()));
    machines.emplace(machine.name, std::move(machine));
  }
  return machines;
}

std::string errors_text(const calibration::FitErrors& errors) {
  if (errors.count == 0) return "";
  return fmt::format("{} / {}", percent_number(errors.median), percent_number(errors.p90));
}

std::string count_text(std::size_t count) { return count > 0 ? grouped(static_cast<double>(count)) : ""; }

TextTable family_table(const std::vector<calibration::FittedCurve>& curves, std::string_view family) {
  TextTable table({{"system"},
                   {"kind"},
                   {"parameters", Align::right},
                   {"fitted", Align::right},
                   {"held out", Align::right},
                   {"median / p90 held out, %", Align::right},
                   {"max, %", Align::right},
                   {"median / p90 fitted, %", Align::right},
                   {"of it"}});
  std::vector<calibration::FittedCurve> lines;
  for (const calibration::FittedCurve& curve : curves)
    if (curve.family == family) lines.push_back(curve);
  const std::size_t curves_end = lines.size();
  for (calibration::FittedCurve& sum : calibration::summed_up(curves, std::string(family)))
    lines.push_back(std::move(sum));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const calibration::FittedCurve& curve = lines[i];
    if (i == curves_end) table.rule();
    table.add({curve.system, curve.kind, curve.parameters > 0 ? std::to_string(curve.parameters) : "",
               count_text(curve.fitted.count), count_text(curve.held_out.count), errors_text(curve.held_out),
               curve.held_out.count > 0 ? percent_number(curve.held_out.largest) : "", errors_text(curve.fitted),
               curve.selection});
  }
  return table.without_empty_columns();
}

struct Family {
  std::string_view name, title;
};
constexpr Family kFamilies[] = {
    {"gemm", "GEMM: held out one (n, k) pair in five; m, n, k from 256"},
    {"grouped", "Grouped GEMM in fused MoE layers: one fit for all machines; held out one shape in five"},
    {"attention", "Attention: held out one shape in five"},
    {"collective", "Collectives in a node: payloads from 64 KiB, each fifth octave held out in turn"},
    {"dispatch", "Expert dispatch and combine: from 128 tokens a rank; held out one shape in five"},
    {"cast", "Casts: held out one shape in five"},
    {"norm", "Norms: held out one shape in five"}};

std::string summary(const calibration::OperatorFit& fit) {
  return fmt::format("{} curves fitted, {} values of the profile replaced, {} borrowed, {} single numbers\n",
                     fit.tables.curves.size(), fit.tables.values.size(), fit.borrowed, fit.tables.scalars.size());
}

std::string fit_text(const calibration::OperatorFit& fit, const PageWidth& width) {
  std::string text;
  for (const Family& family : kFamilies) {
    const TextTable table = family_table(fit.tables.curves, family.name);
    if (!table.empty()) text += fmt::format("{}\n{}\n", family.title, table.text(width.table));
  }
  for (const std::string& note : fit.tables.notes) text += note + "\n";
  return text + "\n" + summary(fit);
}

std::string fit_markdown(const calibration::OperatorFit& fit) {
  std::string text;
  for (const Family& family : kFamilies) {
    const TextTable table = family_table(fit.tables.curves, family.name);
    if (!table.empty()) text += fmt::format("### {}\n\n{}\n", family.title, table.markdown());
  }
  for (const std::string& note : fit.tables.notes) text += "- " + note + "\n";
  return text + "\n" + summary(fit);
}

void add_errors(JsonWriter& json, std::string_view name, const calibration::FitErrors& errors) {
  json.key(name).begin_object().member("points", static_cast<double>(errors.count));
  json.member("median", errors.median).member("p90", errors.p90).member("max", errors.largest).end_object();
}

std::string fit_json(const calibration::OperatorFit& fit) {
  JsonWriter json;
  json.begin_object().key("curves").begin_array();
  for (const calibration::FittedCurve& curve : fit.tables.curves) {
    json.begin_object().member("family", curve.family).member("system", curve.system).member("kind", curve.kind);
    json.member("parameters", curve.parameters);
    add_errors(json, "held_out", curve.held_out);
    add_errors(json, "fitted", curve.fitted);
    json.member("note", curve.selection).end_object();
  }
  json.end_array().texts("notes", fit.tables.notes);
  return json.end_object().text();
}

/// What is written is a profile: every machine that it names reads it.
void check(const hw::Node& profile, const std::map<std::string, hw::Cluster>& machines) {
  for (const auto& [name, machine] : machines) hw::parse_efficiency(profile, machine);
}

}  // namespace

Answer calibrate_ops(const CalibrateOpsOptions& options, const models::DataDirectory& data) {
  if (options.folder.empty())
    throw hw::InputError("calibrate ops: needs DIR, a folder of operator tables (docs/calibration.md)");
  if (options.markdown == "-") throw hw::InputError("--markdown: must be a file, got -");
  const std::map<std::string, hw::Cluster> machines = read_machines(data);
  const auto machine = [&machines](const std::string& system) -> const hw::Cluster* {
    const auto found = machines.find(system);
    return found == machines.end() ? nullptr : &found->second;
  };
  const hw::Node prior = read_profile(options.prior, data);
  check(prior, machines);
  const calibration::OperatorFit fit =
      calibration::fit_operators({options.folder, machine, today()}, prior, !options.curves_only);
  check(fit.profile, machines);
  Answer answer{.out = fit_text(fit, page_width())};
  if (!options.out.empty()) write_file(options.out, fit.profile.pretty());
  if (!options.markdown.empty()) write_file(options.markdown, fit_markdown(fit));
  place_json(options.json, fit_json(fit), answer.out);
  return answer;
}

}  // namespace cli
