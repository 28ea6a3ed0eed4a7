#include "cli/explain.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cli/data_directory.h"
#include "cli/output_file.h"
#include "cli/predict.h"
#include "cli/terminal.h"
#include "hw/input_error.h"
#include "hw/node_edit.h"
#include "hw/what_if.h"

namespace cli {
namespace {

/// What both runs are read with.
struct Inputs {
  models::Library library;
  hw::Node profile;
  sim::Tier tier;
};

void check_runs(const ExplainOptions& options) {
  constexpr const char* kNeeds = "A.json and B.json, or A.json with --what-if (docs/explain.md)";
  if (options.runs.empty()) throw hw::InputError(std::string("explain: needs ") + kNeeds);
  if (options.runs.size() == 1 && options.what_if.empty())
    throw hw::InputError(std::string("explain: needs ") + kNeeds + ", got one run");
  if (options.runs.size() > 2)
    throw hw::InputError("explain: compares two runs, got " + std::to_string(options.runs.size()));
}

/// The description that a run's `system` means: an object in place, a path, or the name of one in DATA/hw.
hw::Node machine_of(const hw::Node& run, models::Library& library) {
  const hw::Node reference = run.at("system");
  library.cluster(reference);  // refuses what is none
  if (reference.is_object()) return hw::Node::parse(reference.dump(), run.file());
  const std::string text = reference.text();
  const bool is_path = text.ends_with(".json") || text.find('/') != std::string::npos;
  return hw::Node::read_file(is_path ? std::filesystem::path(text) : library.data().path / "hw" / (text + ".json"));
}

hw::Node on_system(const hw::Node& run, const std::string& system) {
  return system.empty() ? run : run.with({{"/system", system}});
}

/// The same description where no figure of its machine changes: a machine keeps its name, so that it is found.
hw::Node with_machine(const hw::Node& run, const hw::Node& before, const hw::Node& after) {
  return before.dump() == after.dump() ? run : hw::replaced(run, {{"/system", after}});
}

ExplainedRun predicted(const std::string& file, const std::vector<hw::WhatIf>& changes, Inputs& inputs) {
  const hw::Node stated = on_system(hw::Node::read_file(file), hw::system_of(changes));
  const hw::Node stated_machine = machine_of(stated, inputs.library);
  const hw::Node machine = hw::changed_machine(stated_machine, changes);
  const models::Run run = models::parse_run(with_machine(stated, stated_machine, machine), inputs.library, false);
  const hw::Efficiency efficiency = hw::changed_efficiency(hw::parse_efficiency(inputs.profile, run.cluster), changes);
  ExplainedRun result{.file = file,
                      .changes = {},
                      .description = stated,
                      .machine = machine,
                      .lowered = sim::lower_to_fit(run),
                      .efficiency = efficiency,
                      .prediction = {},
                      .ops = {}};
  for (const hw::WhatIf& change : changes) result.changes.push_back(change.text);
  result.prediction = sim::predict(result.lowered.run, result.lowered.program, efficiency, inputs.tier);
  result.ops = sim::op_times(result.lowered, efficiency, inputs.tier);
  return result;
}

Explanation compared(ExplainedRun a, ExplainedRun b) {
  auto keys = changed_keys(a.description, b.description);
  auto figures = changed_figures({a.machine, a.efficiency}, {b.machine, b.efficiency});
  sim::Difference difference = sim::difference(a.prediction, b.prediction);
  std::vector<sim::OpChange> ops = sim::op_changes(a.ops, b.ops);
  return {.a = std::move(a),
          .b = std::move(b),
          .keys = std::move(keys),
          .figures = std::move(figures),
          .difference = std::move(difference),
          .ops = std::move(ops)};
}

}  // namespace

double gpu_seconds_per_million_tokens(const sim::Prediction& prediction) {
  return 1e6 / prediction.tokens_per_s_per_gpu;
}

Answer explain(const ExplainOptions& options, const models::DataDirectory& data) {
  check_runs(options);
  const std::vector<hw::WhatIf> changes = hw::parse_what_ifs(options.what_if);
  Inputs inputs{models::Library(data), read_profile(options.profile, data), parse_tier(options.tier)};
  const Explanation explanation =
      compared(predicted(options.runs.front(), {}, inputs), predicted(options.runs.back(), changes, inputs));
  constexpr std::size_t kWidest = 80;
  Answer answer{.out = explanation_text(explanation, std::min(kWidest, page_width().prose))};
  place_json(options.json, explanation_json(explanation), answer.out);
  return answer;
}

}  // namespace cli
