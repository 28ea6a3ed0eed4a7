#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "cli/balance.h"
#include "cli/text_table.h"
#include "cli/wording.h"
#include "models/stage_layout_text.h"
#include "search/stage_form.h"

namespace cli {
namespace {

using Align = TextTable::Align;
using search::Balanced;
using search::PlacedRun;

/// Elements of all chunks of a pipeline rank: `Et*4 + t*4`.
std::string elements_of(const models::Run& run, int stage) {
  std::string text;
  for (std::size_t c = 0; c < run.layout.chunks.size(); ++c) {
    if (run.layout.stage_of_chunk(static_cast<int>(c)) != stage) continue;
    text += (text.empty() ? "" : " + ") + models::stage_text(run.layout.chunks[c], true);
  }
  return text;
}

/// The busiest stage above the mean of all.
double unevenness(const PlacedRun& placed) {
  hw::Seconds most, sum;
  for (const sim::StageLoad& stage : placed.stages) {
    most = std::max(most, stage.work);
    sum += stage.work;
  }
  return most / (sum / static_cast<double>(placed.stages.size())) - 1;
}

bool changed(const Balanced& balanced) { return balanced.after.run.layout.chunks != balanced.before.run.layout.chunks; }

double gain(const Balanced& balanced) {
  return balanced.before.prediction.step_time / balanced.after.prediction.step_time - 1;
}

std::string milliseconds(hw::Seconds time) { return four_digits(1e3 * time.value); }

TextTable stage_table(const Balanced& balanced) {
  TextTable table({{"stage", Align::right},
                   {"before"},
                   {"ms a microbatch", Align::right},
                   {"GiB", Align::right},
                   {"after"},
                   {"ms a microbatch", Align::right},
                   {"GiB", Align::right}});
  for (std::size_t i = 0; i < balanced.before.stages.size(); ++i) {
    const sim::StageLoad &before = balanced.before.stages[i], &after = balanced.after.stages[i];
    const int stage = static_cast<int>(i);
    table.add({std::to_string(i), elements_of(balanced.before.run, stage), milliseconds(before.work),
               gib_number(before.peak), elements_of(balanced.after.run, stage), milliseconds(after.work),
               gib_number(after.peak)});
  }
  return table;
}

TextTable sum_table(const Balanced& balanced) {
  TextTable table({{""}, {"before", Align::right}, {"after", Align::right}});
  const sim::Prediction &before = balanced.before.prediction, &after = balanced.after.prediction;
  table.add({"step", time_text(before.step_time), time_text(after.step_time)});
  table.add({"80 % interval", time_text(before.low) + " to " + time_text(before.high),
             time_text(after.low) + " to " + time_text(after.high)});
  table.add({"peak memory, GiB", gib_number(before.memory.peak), gib_number(after.memory.peak)});
  table.add({"busiest stage above the mean", percent_text(unevenness(balanced.before)),
             percent_text(unevenness(balanced.after))});
  table.add({"bubble", percent_text(before.bubble), percent_text(after.bubble)});
  return table;
}

std::string setting_text(const BalancedRun& run) {
  const search::StageForm& form = run.framework.stage_form;
  const std::string setting = search::stage_setting(form, run.balanced.after.run.layout.chunks);
  if (!setting.empty()) return form.key + " = " + setting + "\n";
  const std::string own = models::stage_layout_text(run.balanced.after.run.layout.chunks);
  const std::string why =
      form.kind == search::StageForm::Kind::none ? form.origin : form.key + " has no word for multi-token prediction";
  return fmt::format("framework {} cannot be told so ({}); as a run description says it: {}\n", run.framework.name, why,
                     own);
}

std::string one_run(const BalancedRun& run, std::size_t width) {
  const Balanced& balanced = run.balanced;
  if (balanced.before.run.layout.chunks.size() == 1) return run.name + ": one stage, nothing to place\n";
  std::string text = fmt::format("{}: {} placements of {} chunks judged{}, within {} GiB\n\n", run.name,
                                 grouped(balanced.judged), balanced.before.run.layout.chunks.size(),
                                 balanced.all ? ", which are all" : "", gib_number(balanced.room));
  text += sum_table(balanced).text(width) + "\n" + stage_table(balanced).text(width) + "\n";
  if (!balanced.after.prediction.memory.fits()) text += "it does not fit, however its layers lie\n";
  if (!changed(balanced)) return text + "no better placement was found: " + setting_text(run);
  return text + fmt::format("{} faster\n", percent_text(gain(balanced))) + setting_text(run);
}

TextTable runs_table(const std::vector<BalancedRun>& runs) {
  TextTable table({{"run"},
                   {"stages", Align::right},
                   {"before"},
                   {"step s", Align::right},
                   {"GiB", Align::right},
                   {"after"},
                   {"step s", Align::right},
                   {"GiB", Align::right},
                   {"faster by %", Align::right}});
  for (const BalancedRun& run : runs) {
    const PlacedRun &before = run.balanced.before, &after = run.balanced.after;
    const models::Layout& layout = before.run.layout;
    table.add({run.name, fmt::format("{} x {}", layout.pp, layout.vp), models::stage_layout_text(layout.chunks),
               four_digits(before.prediction.step_time.value), gib_number(before.prediction.memory.peak),
               changed(run.balanced) ? models::stage_layout_text(after.run.layout.chunks) : "the same",
               four_digits(after.prediction.step_time.value), gib_number(after.prediction.memory.peak),
               changed(run.balanced) ? percent_number(gain(run.balanced)) : "-"});
  }
  return table;
}

}  // namespace

std::string balance_text(const std::vector<BalancedRun>& runs, std::size_t width) {
  return runs.size() == 1 ? one_run(runs.front(), width) : runs_table(runs).text(width);
}

std::string balance_markdown(const std::vector<BalancedRun>& runs) { return runs_table(runs).markdown(); }

}  // namespace cli
