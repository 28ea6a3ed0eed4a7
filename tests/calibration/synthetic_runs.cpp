#include "tests/calibration/synthetic_runs.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "calibration/validation.h"

namespace calibration::test {
namespace {

const std::filesystem::path kRoot = STEPCAST_SOURCE_DIR;

models::Library& library() {
  static models::Library all({kRoot});
  return all;
}

}  // namespace

const hw::Node& prior_profile() {
  static const hw::Node profile = hw::Node::read_file(kRoot / "calibration/profiles/tables.json");
  return profile;
}

std::vector<hw::Node> published_rows(const std::string& file, std::size_t stride, std::size_t offset) {
  const auto lines = hw::Node::read_lines(kRoot / "configs/runs/published" / file);
  std::vector<hw::Node> rows;
  for (std::size_t i = offset; i < lines.size(); i += stride)
    if (lines[i].node && !runs_of({{*lines[i].node}}).runs().empty()) rows.push_back(*lines[i].node);
  return rows;
}

std::vector<hw::Node> measured_by(const hw::Node& truth, const std::vector<hw::Node>& rows) {
  const auto predicted = validate(runs_of({rows}), truth, sim::Tier::closed_form);
  std::vector<hw::Node> measured;
  for (std::size_t i = 0; i < rows.size(); ++i)
    measured.push_back(rows[i].with({{"/measured/step_time_s", predicted[i].predicted.value}}));
  return measured;
}

hw::Node slower(const hw::Node& row, double factor) {
  return row.with({{"/measured/step_time_s", factor * number_at(row, "/measured/step_time_s")}});
}

MeasuredRuns runs_of(const std::vector<std::vector<hw::Node>>& files) {
  std::vector<std::filesystem::path> paths;
  for (const auto& rows : files) {
    paths.push_back(std::filesystem::temp_directory_path() /
                    ("stepcast-synthetic-" + std::to_string(getpid()) + "-" + std::to_string(paths.size()) + ".jsonl"));
    std::ofstream text(paths.back());
    for (const hw::Node& row : rows) text << row.dump() << "\n";
  }
  MeasuredRuns runs(paths, library());
  for (const auto& path : paths) std::filesystem::remove(path);
  return runs;
}

std::vector<FitParameter> plan_of(const std::string& parameters) {
  return parse_fit_plan(hw::Node::parse(R"({"parameters": [)" + parameters + "]}", "plan.json"), prior_profile());
}

hw::Node moved_by(const hw::Node& profile, const FitParameter& parameter, double factor) {
  std::vector<std::pair<std::string, hw::Node::Value>> values;
  for (const std::string& pointer : parameter.values)
    values.emplace_back(pointer, factor * number_at(profile, pointer));
  return profile.with(values);
}

double number_at(const hw::Node& profile, const std::string& pointer) {
  hw::Node node = profile;
  for (std::size_t from = 1; from <= pointer.size();) {
    const std::size_t end = std::min(pointer.find('/', from), pointer.size());
    node = node.at(pointer.substr(from, end - from));
    from = end + 1;
  }
  return node.number();
}

}  // namespace calibration::test
