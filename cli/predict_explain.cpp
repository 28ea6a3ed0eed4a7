#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/predict.h"
#include "cli/text_table.h"
#include "cli/wording.h"
#include "models/critical_path.h"
#include "models/lower.h"
#include "sim/chunk_play.h"

namespace cli {
namespace {

using Align = TextTable::Align;

/// The breakdown, summed to what keeps a step from the speed of light.
struct Losses {
  hw::Seconds compute, exposed, bubble, host, rest;
};

Losses losses_of(const sim::Prediction& p) {
  Losses losses;
  for (const sim::BreakdownItem& item : p.breakdown) {
    if (item.what.starts_with("exposed_")) {
      losses.exposed += item.time;
    } else if (item.what == "bubble") {
      losses.bubble += item.time;
    } else if (item.what == "host") {
      losses.host += item.time;
    } else if (item.what == "step_constant" || item.what == "straggler") {
      losses.rest += item.time;
    } else {
      losses.compute += item.time;
    }
  }
  return losses;
}

/// From the model's FLOPs at peak to the predicted step, loss by loss.
std::string waterfall(const sim::Prediction& p, std::size_t width) {
  const Losses losses = losses_of(p);
  TextTable table({{"from the speed of light to the step"},
                   {"adds ms", Align::right},
                   {"reaches ms", Align::right},
                   {"x ideal", Align::right}});
  hw::Seconds reached;
  const auto add = [&](const char* what, hw::Seconds time) {
    reached += time;
    table.add({what, fmt::format("{:.2f}", 1e3 * time.value), fmt::format("{:.2f}", 1e3 * reached.value),
               p.ideal.value > 0 ? fmt::format("{:.3f}", reached / p.ideal) : ""});
  };
  const hw::Seconds counted = p.mfu * p.step_time;
  add("model FLOPs at the datasheet peak (MFU 100 %)", counted);
  add("other work of the busiest stage: memory-bound ops, recompute, imbalance", p.ideal - counted);
  table.rule();
  add("compute below the datasheet's rates", losses.compute - p.ideal);
  add("exposed communication", losses.exposed);
  add("pipeline bubble", losses.bubble);
  add("waits for the host", losses.host);
  add("once a step, stragglers", losses.rest);
  return table.text(width) +
         paragraph("",
                   fmt::format("ideal: {}, every op of the busiest stage at datasheet speed and nothing exposed; the "
                               "step takes {:.2f} times as long",
                               time_text(p.ideal), p.step_time / p.ideal),
                   width);
}

/// Names and times of the ops of a block that take longest, forward and backward together.
std::string largest_ops(const sim::CostModel& model, const models::Block& block) {
  std::map<std::string_view, double> by_name;
  for (const auto* ops : {&block.forward, &block.backward}) {
    for (const models::Op& op : *ops) by_name[op.name] += model.price(block, op).time.value;
  }
  std::vector<std::pair<double, std::string_view>> largest;
  largest.reserve(by_name.size());
  for (const auto& [name, time] : by_name) largest.emplace_back(time, name);
  std::stable_sort(largest.begin(), largest.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, largest.size()); ++i)
    text += fmt::format("{}{} {:.2f}", text.empty() ? "" : ", ", largest[i].second, 1e3 * largest[i].first);
  return text;
}

/// The longest dependent chain of the block that takes most of the step: what would have to get faster.
std::string critical_path_text(const sim::CostModel& model, const models::Block& block, std::size_t width) {
  std::string text;
  for (const auto& [pass, ops] : {std::pair{"forward", &block.forward}, {"backward", &block.backward}}) {
    std::vector<hw::Seconds> times;
    for (const models::Op& op : *ops) times.push_back(model.price(block, op).time);
    const models::CriticalPath path = models::critical_path(*ops, times);
    std::string chain;
    for (const int i : path.ops) {
      const auto index = static_cast<std::size_t>(i);
      if (times[index] < 0.02 * path.length) continue;
      chain += fmt::format("{}{} {:.2f}", chain.empty() ? "" : ", ", (*ops)[index].name, 1e3 * times[index].value);
    }
    text += paragraph("",
                      fmt::format("critical path of {}, {}: {:.2f} ms; ops of 2 % and more: {}", block.label, pass,
                                  1e3 * path.length.value, chain),
                      width);
  }
  return text;
}

std::string block_table(const models::Run& run, const hw::Efficiency& efficiency, std::size_t width) {
  const models::StepProgram program = models::lower(run);
  const sim::CostModel model(program, run.cluster, efficiency);
  const sim::PricedProgram priced(model);
  std::vector<int> counts(program.blocks.size());
  std::size_t heaviest = 0;
  double most = 0;
  for (const models::ChunkProgram& chunk : program.chunks) {
    for (const models::BlockRun& blocks : chunk.blocks) counts[static_cast<std::size_t>(blocks.block)] += blocks.count;
  }
  TextTable table({{"block"},
                   {"count", Align::right},
                   {"fwd ms", Align::right},
                   {"bwd ms", Align::right},
                   {"comm ms", Align::right},
                   {"kept MiB", Align::right},
                   {"largest ops, ms"}});
  for (std::size_t i = 0; i < program.blocks.size(); ++i) {
    const models::Block& block = program.blocks[i];
    const double share =
        counts[i] * (priced.blocks[i].forward.all().compute.total() + priced.blocks[i].backward.all().compute.total());
    if (share > most) {
      most = share;
      heaviest = i;
    }
    const sim::OpSums forward = priced.blocks[i].forward.all(), backward = priced.blocks[i].backward.all();
    table.add({block.label, std::to_string(counts[i]), fmt::format("{:.2f}", 1e3 * forward.compute.total()),
               fmt::format("{:.2f}", 1e3 * backward.compute.total()),
               fmt::format("{:.2f}", 1e3 * (forward.comm + backward.comm)),
               fmt::format("{:.1f}", block.kept.value / (1024.0 * 1024.0)), largest_ops(model, block)});
  }
  std::string note = "of one microbatch on one GPU; comm: transfers of both passes, hidden or not";
  if (!run.recompute_known) note += "; with the stack's default recompute, before what was assumed to make it fit";
  return table.text(width) + paragraph("", note, width) + "\n" +
         critical_path_text(model, program.blocks[heaviest], width);
}

}  // namespace

std::string explanation_text(const models::Run& run, const sim::Prediction& prediction,
                             const hw::Efficiency& efficiency, std::size_t width) {
  return "\n" + waterfall(prediction, width) + "\n" + block_table(run, efficiency, width);
}

}  // namespace cli
