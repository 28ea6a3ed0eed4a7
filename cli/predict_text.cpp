#include <fmt/format.h>

#include <cmath>

#include "cli/predict.h"
#include "cli/text_table.h"
#include "cli/wording.h"

namespace cli {
namespace {

using Align = TextTable::Align;

/// Share of a step below which a part is what rounding left of nothing.
constexpr double kRounding = 1e-9;

std::string header(const models::Run& run, std::size_t width) {
  std::string title = fmt::format("{} on {} {}: {}, {}", run.model.name, run.layout.gpus, run.cluster.gpu.name,
                                  name(run.task), name(run.precision));
  title += run.framework.empty() ? ", generic stack" : ", " + run.framework;
  if (!run.framework.empty() && !run.release.empty()) title += " " + run.release;
  std::string out = run.id.empty() ? "" : paragraph("", run.id, width);
  out += paragraph("", title, width);
  out += paragraph("layout     ", layout_text(run.layout), width);
  out += paragraph("batch      ", batch_text(run.layout), width);
  out += paragraph("recompute  ", recompute_text(run), width);
  return out;
}

std::string headline(const models::Run& run, const sim::Prediction& p, std::size_t width) {
  std::string out = paragraph(
      "step time    ",
      fmt::format("{}, 80 % interval {} to {}", time_text(p.step_time), time_text(p.low), time_text(p.high)), width);
  out += paragraph("tokens       ",
                   fmt::format("{} tokens/s/GPU, {} tokens/s in all", grouped(p.tokens_per_s_per_gpu),
                               grouped(p.tokens_per_s_per_gpu * run.layout.gpus)),
                   width);
  out += paragraph("model FLOPs  ", four_digits(p.tflops_per_gpu) + " TFLOP/s/GPU", width);
  out += paragraph("MFU          ",
                   p.mfu > 0 ? fmt::format("{} = model FLOPs (counted as `{}`: docs/flops.md) / {} TFLOP/s, the dense "
                                           "datasheet peak",
                                           percent_text(p.mfu), name(run.flops), four_digits(p.tflops_per_gpu / p.mfu))
                             : "unknown: the datasheet has no peak for this precision",
                   width);
  return out;
}

std::string memory_table(const sim::Memory& memory, std::size_t width) {
  TextTable table({{"memory of a GPU"}, {"GiB", Align::right}, {"share", Align::right}});
  for (const sim::MemoryItem& item : memory.items)
    table.add({item.kind, gib_number(item.bytes), percent_text(item.bytes / memory.peak)});
  table.rule();
  table.add({"peak", gib_number(memory.peak), percent_text(1)});
  table.add({"available", gib_number(memory.available)});
  const hw::Bytes left = memory.available - memory.peak;
  table.add({memory.fits() ? "left" : "missing", gib_number(memory.fits() ? left : -1.0 * left)});
  const std::string where = fmt::format("pipeline stage {}, {}", memory.stage, memory.moment);
  return table.text(width) + paragraph("peak at: ", where, width);
}

std::string breakdown_table(const sim::Prediction& p, std::size_t width) {
  const bool in_seconds = p.step_time.value >= 10;
  const auto number = [&](hw::Seconds t) {
    return in_seconds ? fmt::format("{:.3f}", t.value) : fmt::format("{:.2f}", 1e3 * t.value);
  };
  TextTable table({{"time of a step"}, {in_seconds ? "s" : "ms", Align::right}, {"share", Align::right}, {""}});
  for (const sim::BreakdownItem& item : p.breakdown) {
    if (std::abs(item.time / p.step_time) < kRounding) continue;
    table.add(
        {item.what, number(item.time), percent_text(item.time / p.step_time), std::string(meaning_of_part(item.what))});
  }
  table.rule();
  table.add({"step", number(p.step_time), percent_text(1), "as the busiest pipeline stage sees it"});
  return table.text(width);
}

std::string origin_table(const sim::Prediction& p, std::size_t width) {
  double total = 0;
  for (const hw::Seconds time : p.origin) total += time.value;
  if (total <= 0) return "";
  TextTable table({{"costs rest on"}, {"share", Align::right}, {""}});
  for (int i = 0; i < hw::kOrigins; ++i) {
    const auto origin = static_cast<hw::Origin>(i);
    const double share = p.origin[static_cast<std::size_t>(i)].value / total;
    if (share > 0) table.add({std::string(name(origin)), percent_text(share), std::string(meaning(origin))});
  }
  return table.text(width);
}

std::string list(const std::string& title, const std::vector<std::string>& items, std::size_t width) {
  if (items.empty()) return "";
  std::string out = "\n" + title + "\n";
  for (const std::string& item : items) out += paragraph("  - ", item, width);
  return out;
}

}  // namespace

std::string prediction_text(const models::Run& run, const sim::Prediction& p, std::size_t width) {
  std::string out = header(run, width) + "\n" + headline(run, p, width);
  if (p.memory.fits()) {
    out += paragraph(
        "memory       ",
        fmt::format("{} GiB of {} GiB a GPU: fits", gib_number(p.memory.peak), gib_number(p.memory.available)), width);
  } else {
    out += fmt::format("memory       does not fit: {} GiB missing\n", gib_number(p.memory.peak - p.memory.available));
  }
  out += "\n" + breakdown_table(p, width) + "\n" + memory_table(p.memory, width) + "\n" + origin_table(p, width);
  out += list("assumed, because the description does not state it", p.assumed, width);
  out += list("not understood, and not in the numbers", run.not_understood, width);
  return out;
}

}  // namespace cli
