#include "calibration/measured_runs.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>

#include "hw/error_text.h"
#include "hw/input_error.h"

namespace calibration {
namespace {

std::string text_of(const hw::Node& node, std::string_view key) {
  const auto value = node.is_object() ? node.find(key) : std::nullopt;
  if (!value) return "";
  return value->is_text() ? value->text() : value->is_object() ? "(object)" : value->dump();
}

/// What a row says of itself, as far as it can be read: a refused row is reported with it.
void fill_identity(const hw::Node& node, ValidatedRow& row) try {
  row.id = text_of(node, "id");
  row.framework = text_of(node, "framework");
  row.model = text_of(node, "model");
  row.system = text_of(node, "system");
  row.precision = text_of(node, "precision");
  row.task = text_of(node, "task");
  if (!node.is_object()) return;
  const auto measured = node.find("measured");
  if (measured && measured->is_object() && measured->has("step_time_s"))
    row.measured = {measured->at("step_time_s").positive()};
  if (const auto gpus = node.find("gpus")) row.gpus = gpus->positive_int();
} catch (const hw::InputError&) {
  // parse_run gives the reason
}

std::string family_name(models::Family family) {
  switch (family) {
    case models::Family::dense: return "dense";
    case models::Family::moe: return "moe";
    case models::Family::dit: return "dit";
  }
  return "";
}

void fill_run(const models::Run& run, ValidatedRow& row) {
  row.model = run.model.name;
  row.system = run.cluster.name;
  row.family = family_name(run.model.family());
  row.gpus = run.layout.gpus;
  row.group = run.measured_group;
  row.measured = run.measured->step_time;
  row.memory_measured = run.measured->memory;
  row.derived = run.measured->derived;
}

void fill_prediction(const sim::Prediction& prediction, bool is_partly_understood, ValidatedRow& row) {
  const double step = prediction.step_time.value;
  if (!std::isfinite(step) || step <= 0) {
    row.refused = row.file + ":" + std::to_string(row.line) + ": /: the predicted step time is not a positive number";
    return;
  }
  row.predicted = prediction.step_time;
  row.low = prediction.low;
  row.high = prediction.high;
  row.at_full_mfu = prediction.mfu * prediction.step_time;
  row.memory_predicted = prediction.memory.peak;
  row.memory_available = prediction.memory.available;
  row.assumed = !prediction.assumed.empty() || is_partly_understood;
}

/// Keys that do not say how a run was configured.
constexpr std::string_view kNotConfiguration[] = {"id",    "release",  "notes",        "source",
                                                  "trust", "measured", "hardware_note"};

std::string configuration_of(const hw::Node& node) {
  std::map<std::string, std::string> keys;
  for (const std::string& key : node.keys())
    if (std::ranges::find(kNotConfiguration, key) == std::end(kNotConfiguration) && node.has(key))
      keys[key] = node.at(key).dump();
  std::string text;
  for (const auto& [key, value] : keys) text += key + ":" + value + "\n";
  return text;
}

}  // namespace

MeasuredRuns::MeasuredRuns(std::span<const std::filesystem::path> files, models::Library& library) {
  for (const std::filesystem::path& file : files) read(file, library);
}

void MeasuredRuns::read(const std::filesystem::path& path, models::Library& library) {
  std::map<std::string, int> first_line;
  const std::vector<hw::Node::Line> lines = hw::Node::read_lines(path);
  if (lines.empty()) throw hw::InputError(hw::printable(path.string()) + ": is empty");
  for (const hw::Node::Line& line : lines) {
    ValidatedRow& row = rows_.emplace_back();
    row.file = path.string();
    row.line = line.number;
    row.refused = line.error;
    if (line.node) read_row(*line.node, library, first_line);
  }
}

void MeasuredRuns::read_row(const hw::Node& node, models::Library& library, std::map<std::string, int>& first_line) {
  ValidatedRow& row = rows_.back();
  fill_identity(node, row);
  try {
    if (!row.id.empty()) {
      const auto [known, is_new] = first_line.emplace(row.id, row.line);
      if (!is_new) node.at("id").fail("must be unique in the file, line " + std::to_string(known->second) + " has it");
    }
    const models::Run run = models::parse_run(node, library, true);
    fill_run(run, row);
    runs_.push_back({rows_.size() - 1, sim::lower_to_fit(run), node.at("system").dump(), configuration_of(node),
                     text_of(node, "release")});
  } catch (const hw::InputError& error) {
    row.refused = error.what();
  }
}

Efficiencies efficiencies_of(const MeasuredRuns& runs, const hw::Node& profile) {
  Efficiencies parsed;
  for (const MeasuredRun& run : runs.runs())
    if (!parsed.contains(run.system)) parsed.emplace(run.system, hw::parse_efficiency(profile, run.run().cluster));
  return parsed;
}

void predict_row(const MeasuredRun& run, const Efficiencies& efficiencies, sim::Tier tier, ValidatedRow& row) {
  fill_prediction(sim::predict(run.run(), run.lowered.program, efficiencies.at(run.system), tier),
                  !run.run().not_understood.empty(), row);
}

}  // namespace calibration
