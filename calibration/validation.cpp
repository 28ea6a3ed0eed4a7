#include "calibration/validation.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <deque>
#include <exception>
#include <map>
#include <thread>
#include <utility>

#include "hw/efficiency.h"
#include "hw/error_text.h"
#include "hw/input_error.h"

namespace calibration {
namespace {

/// A row that can be predicted, and where its answer goes.
struct Task {
  std::size_t row;
  models::Run run;
  const hw::Efficiency* efficiency;
};

/// The profile's part for each machine, read once.
class Efficiencies {
 public:
  explicit Efficiencies(const hw::Node& profile) : profile_(profile) {}

  const hw::Efficiency& of(const std::string& system, const hw::Cluster& cluster) {
    const auto known = parsed_.find(system);
    if (known != parsed_.end()) return known->second;
    return parsed_.emplace(system, hw::parse_efficiency(profile_, cluster)).first->second;
  }

 private:
  const hw::Node& profile_;
  std::map<std::string, hw::Efficiency> parsed_;  ///< by the row's `system` as JSON
};

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

void fill_prediction(const sim::Prediction& prediction, ValidatedRow& row) {
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
  row.assumed = !prediction.assumed.empty();
}

void predict_task(const Task& task, sim::Tier tier, ValidatedRow& row) try {
  fill_prediction(sim::predict(task.run, *task.efficiency, tier), row);
} catch (const hw::InputError& error) {
  row.refused = error.what();
}

/// Predicts on all cores. Each task writes its own row, so that the result does not depend on who was first.
void predict_all(const std::deque<Task>& tasks, sim::Tier tier, std::vector<ValidatedRow>& rows) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::exception_ptr> failures(tasks.size());
  const auto work = [&] {
    for (std::size_t i = next++; i < tasks.size(); i = next++) {
      try {
        predict_task(tasks[i], tier, rows[tasks[i].row]);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
    for (std::size_t i = 1; i < std::min(cores, tasks.size()); ++i) threads.emplace_back(work);
    work();
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

class Reader {
 public:
  Reader(models::Library& library, const hw::Node& profile) : library_(library), efficiencies_(profile) {}

  void read(const std::filesystem::path& path) {
    std::map<std::string, int> first_line;
    const std::vector<hw::Node::Line> lines = hw::Node::read_lines(path);
    if (lines.empty()) throw hw::InputError(hw::printable(path.string()) + ": is empty");
    for (const hw::Node::Line& line : lines) {
      ValidatedRow& row = rows_.emplace_back();
      row.file = path.string();
      row.line = line.number;
      row.refused = line.error;
      if (line.node) read_row(*line.node, first_line);
    }
  }

  std::vector<ValidatedRow> predicted(sim::Tier tier) && {
    predict_all(tasks_, tier, rows_);
    return std::move(rows_);
  }

 private:
  void read_row(const hw::Node& node, std::map<std::string, int>& first_line) {
    ValidatedRow& row = rows_.back();
    fill_identity(node, row);
    models::Run run;
    try {
      if (!row.id.empty()) {
        const auto [known, is_new] = first_line.emplace(row.id, row.line);
        if (!is_new)
          node.at("id").fail("must be unique in the file, line " + std::to_string(known->second) + " has it");
      }
      run = models::parse_run(node, library_, true);
    } catch (const hw::InputError& error) {
      row.refused = error.what();
      return;
    }
    fill_run(run, row);
    const hw::Efficiency& efficiency = efficiencies_.of(node.at("system").dump(), run.cluster);
    tasks_.push_back({rows_.size() - 1, std::move(run), &efficiency});
  }

  models::Library& library_;
  Efficiencies efficiencies_;
  std::vector<ValidatedRow> rows_;
  std::deque<Task> tasks_;
};

void ask_rival(std::vector<ValidatedRow>& rows) {
  std::vector<RivalInput> inputs;
  std::vector<ValidatedRow*> asked;
  for (ValidatedRow& row : rows) {
    if (!row.is_predicted()) continue;
    inputs.push_back({row.system, row.measured, row.at_full_mfu});
    asked.push_back(&row);
  }
  const auto answers = constant_mfu_rival(inputs);
  for (std::size_t i = 0; i < asked.size(); ++i) asked[i]->rival = answers[i];
}

}  // namespace

std::vector<ValidatedRow> validate(std::span<const std::filesystem::path> files, models::Library& library,
                                   const hw::Node& profile, sim::Tier tier) {
  Reader reader(library, profile);
  for (const std::filesystem::path& file : files) reader.read(file);
  std::vector<ValidatedRow> rows = std::move(reader).predicted(tier);
  ask_rival(rows);
  return rows;
}

}  // namespace calibration
