#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/search.h"
#include "cli/text_table.h"
#include "cli/wording.h"
#include "models/stage_layout_text.h"

namespace cli {
namespace {

using Align = TextTable::Align;
using search::Row;

constexpr std::size_t kLimits = 3;     ///< losses named a row
constexpr double kWorthNaming = 0.01;  ///< of the step
constexpr std::size_t kFrontRows = 12;

/// Lines of the breakdown that are no work of the model.
bool is_loss(const std::string& part) {
  return part.starts_with("exposed_") || part == "bubble" || part == "host" || part == "slowdown" ||
         part == "straggler" || part == "optimizer" || part == "step_constant";
}

/// The largest losses of a step: `bubble 8.1 %, exposed_tp 4.0 %`.
std::string limits(const sim::Prediction& prediction) {
  std::vector<sim::BreakdownItem> losses;
  std::ranges::copy_if(prediction.breakdown, std::back_inserter(losses),
                       [](const sim::BreakdownItem& item) { return is_loss(item.what); });
  std::ranges::sort(losses, std::greater{}, &sim::BreakdownItem::time);
  std::string text;
  for (std::size_t i = 0; i < std::min(kLimits, losses.size()); ++i) {
    const double share = losses[i].time / prediction.step_time;
    if (share < kWorthNaming) break;
    text += (text.empty() ? "" : ", ") + losses[i].what + " " + percent_text(share);
  }
  return text.empty() ? "none above 1 %" : text;
}

/// Layers lie elsewhere than the framework puts them untold.
bool stated_stages(const models::Run& run) {
  const int stages = run.layout.pp * run.layout.vp;
  const auto& chunks = run.layout.chunks;
  return chunks != models::split_stages(run.model, stages, false) &&
         chunks != models::split_stages(run.model, stages, true);
}

std::string layout_of(const Row& row, bool several_settings) {
  std::string text = layout_text(row.run.layout) + fmt::format(", mbs {}", row.run.layout.mbs);
  if (row.candidate.keys.cp_kind || row.run.layout.cp > 1) {
    constexpr const char* kKinds[] = {"ring", "all-gather", "all-to-all"};
    text += fmt::format(", cp by {}", kKinds[static_cast<int>(row.run.layout.cp_kind)]);
  }
  if (several_settings) text += ", recompute " + recompute_text(row.run);
  if (row.run.traits.offload_layers > 0) text += fmt::format(", {} layers offloaded", row.run.traits.offload_layers);
  if (stated_stages(row.run)) text += ", stages " + models::stage_layout_text(row.run.layout.chunks);
  return text;
}

std::string mark(const Row& row) { return std::string(row.tie ? "~" : "") + (row.robust ? "*" : ""); }

std::string optional_number(const std::optional<double>& value) { return value ? four_digits(*value) : ""; }

TextTable rows_table(const std::vector<Row>& rows, std::size_t most, const search::Answer& answer) {
  TextTable table({{"", Align::right},
                   {""},
                   {"step s", Align::right},
                   {"80 % interval"},
                   {"MFU %", Align::right},
                   {"tokens/s/GPU", Align::right},
                   {"GiB", Align::right},
                   {"GPUs", Align::right},
                   {"system"},
                   {"$/M tokens", Align::right},
                   {"Wh/M tokens", Align::right},
                   {"days", Align::right},
                   {"$ in all", Align::right},
                   {"layout"},
                   {"limited by"}});
  const bool gpus = answer.query.gpus.size() > 1, several = answer.query.settings.size() > 1;
  const auto systems = answer.query.description.find("system");
  const bool several_systems = systems && systems->is_array();
  const bool energy = answer.query.objective == search::Objective::energy;
  for (std::size_t i = 0; i < std::min(most, rows.size()); ++i) {
    const Row& row = rows[i];
    const sim::Prediction& p = row.prediction;
    table.add({std::to_string(i + 1), mark(row), four_digits(p.step_time.value),
               four_digits(p.low.value) + " to " + four_digits(p.high.value), percent_number(p.mfu),
               grouped(p.tokens_per_s_per_gpu), gib_number(p.memory.peak),
               gpus ? std::to_string(row.run.layout.gpus) : "", several_systems ? row.run.cluster.name : "",
               optional_number(row.cost_per_million_tokens),
               energy ? optional_number(row.watt_hours_per_million_tokens) : "", optional_number(row.days),
               optional_number(row.cost_of_goal), layout_of(row, several), limits(p)});
  }
  return table.without_empty_columns();
}

std::string count_text(std::int64_t count) { return grouped(static_cast<double>(count)); }

std::string title(const search::Answer& answer) {
  const search::Counts& counts = answer.counts;
  std::string text =
      fmt::format("{} legal layouts in {} groups that share blocks: {} do not fit, {} timed, {} cut by bounds\n",
                  count_text(counts.legal), count_text(answer.groups), count_text(counts.too_large),
                  count_text(counts.timed), count_text(counts.pruned));
  if (counts.too_slow > 0) text += fmt::format("{} miss the goal\n", count_text(counts.too_slow));
  if (answer.query.shard.of > 1)
    text += fmt::format("shard {} of {}\n", answer.query.shard.index, answer.query.shard.of);
  if (!answer.complete())
    text += fmt::format("stopped early: {} of {} groups were looked at\n", count_text(answer.groups_done),
                        count_text(answer.groups));
  return text;
}

std::string ties_text(const search::Answer& answer) {
  const auto ties = std::ranges::count_if(answer.rows, &Row::tie);
  if (ties == 0) return "";
  return fmt::format(
      "~ {} of the best {} are too near the first to be told apart; * of these, number {}, loses least where links, "
      "matmuls, "
      "memory or host turn out slower than predicted\n",
      ties, answer.rows.size(), std::ranges::find_if(answer.rows, &Row::robust) - answer.rows.begin() + 1);
}

std::string misses_text(const search::Answer& answer, std::size_t width) {
  if (answer.misses.empty()) return "";
  TextTable table({{"step s", Align::right}, {"GiB", Align::right}, {"missing GiB", Align::right}, {"layout"}});
  const bool several = answer.query.settings.size() > 1;
  for (std::size_t i = 0; i < std::min<std::size_t>(answer.misses.size(), 5); ++i) {
    const Row& row = answer.misses[i];
    const search::Judge judge(answer.query, row.run.cluster, row.run.layout.gbs, row.run.layout.seq_len);
    table.add({four_digits(row.prediction.step_time.value), gib_number(row.prediction.memory.peak),
               gib_number(row.candidate.peak - judge.room()), layout_of(row, several)});
  }
  return "\nbest of what does not fit by little\n" + table.text(width, 2);
}

std::string front_text(const search::Answer& answer, std::size_t width) {
  if (answer.front.size() < 2) return "";
  TextTable table({{"step s", Align::right}, {"GiB", Align::right}, {"layout"}});
  const bool several = answer.query.settings.size() > 1;
  const std::size_t every = (answer.front.size() + kFrontRows - 1) / kFrontRows;
  for (std::size_t i = 0; i < answer.front.size(); i += every) {
    const Row& row = answer.front[i];
    table.add({four_digits(row.candidate.time.value), gib_number(row.candidate.peak), layout_of(row, several)});
  }
  const std::string which = every > 1 ? fmt::format(", one in {}", every) : "";
  return fmt::format("\nstep time against memory: {} layouts that no other beats in both{}\n", answer.front.size(),
                     which) +
         table.text(width, 2);
}

std::string no_layout(const search::Answer& answer) {
  if (answer.counts.legal == 0) return "no layout is legal\n";
  return answer.query.goal ? "no layout fits and reaches the goal\n" : "no layout fits\n";
}

}  // namespace

std::string search_text(const search::Answer& answer, std::size_t width) {
  std::string out = title(answer);
  if (answer.rows.empty()) return out + no_layout(answer) + misses_text(answer, width);
  out += "\n" + rows_table(answer.rows, static_cast<std::size_t>(answer.query.top), answer).text(width);
  out += ties_text(answer);
  return out + front_text(answer, width) + misses_text(answer, width);
}

}  // namespace cli
