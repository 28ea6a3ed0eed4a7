#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cli/explain.h"
#include "cli/text_table.h"
#include "cli/wording.h"

namespace cli {
namespace {

using Align = TextTable::Align;

std::string title_of_b(const Explanation& e) {
  if (e.b.changes.empty()) return e.b.file;
  return fmt::format("{} with {}", e.a.file == e.b.file ? "A" : e.b.file, fmt::join(e.b.changes, ", "));
}

std::string stack_of(const models::Run& run) {
  return run.framework.empty() ? "generic stack" : run.framework + (run.release.empty() ? "" : " " + run.release);
}

/// The two runs side by side, as they were understood.
std::string header(const Explanation& e, std::size_t width) {
  const models::Run &a = e.a.run(), &b = e.b.run();
  TextTable table({{""}, {"A"}, {"B"}});
  const auto row = [&](const char* what, auto text) { table.add({what, text(a), text(b)}); };
  row("model", [](const models::Run& run) { return run.model.name; });
  row("machine", [](const models::Run& run) {
    return fmt::format("{} x {} ({})", run.layout.gpus, run.cluster.gpu.name, run.cluster.name);
  });
  row("stack", stack_of);
  row("task", [](const models::Run& run) { return fmt::format("{}, {}", name(run.task), name(run.precision)); });
  row("layout", [](const models::Run& run) { return layout_text(run.layout); });
  row("batch", [](const models::Run& run) { return batch_text(run.layout); });
  row("recompute", recompute_text);
  return paragraph("A  ", e.a.file, width) + paragraph("B  ", title_of_b(e), width) + "\n" + table.text(width);
}

std::string changes_table(const Explanation& e, std::size_t width) {
  TextTable table({{"what is described otherwise"}, {"A"}, {"B"}, {""}});
  constexpr const char* kNotStated = "-";
  for (const auto* changes : {&e.keys, &e.figures})
    for (const StatedChange& change : *changes)
      table.add({change.what, change.a.value_or(kNotStated), change.b.value_or(kNotStated), change.unit});
  return table.empty() ? "what is described otherwise: nothing\n" : table.without_empty_columns().text(width);
}

std::string relative(double a, double b) { return a > 0 ? signed_percent_number(b / a - 1) : ""; }

std::string results_table(const Explanation& e, std::size_t width) {
  const sim::Prediction &a = e.a.prediction, &b = e.b.prediction;
  TextTable table({{"predicted"}, {"A", Align::right}, {"B", Align::right}, {"B - A, %", Align::right}});
  table.add(
      {"step time", time_text(a.step_time), time_text(b.step_time), relative(a.step_time.value, b.step_time.value)});
  const auto range = [](const sim::Prediction& p) {
    return fmt::format("{} to {}", time_text(p.low), time_text(p.high));
  };
  table.add({"80 % interval", range(a), range(b)});
  table.add({"tokens/s/GPU", grouped(a.tokens_per_s_per_gpu), grouped(b.tokens_per_s_per_gpu),
             relative(a.tokens_per_s_per_gpu, b.tokens_per_s_per_gpu)});
  const double per_a = gpu_seconds_per_million_tokens(a), per_b = gpu_seconds_per_million_tokens(b);
  table.add({"GPU seconds a million tokens", four_digits(per_a), four_digits(per_b), relative(per_a, per_b)});
  table.add({"model TFLOP/s/GPU", four_digits(a.tflops_per_gpu), four_digits(b.tflops_per_gpu),
             relative(a.tflops_per_gpu, b.tflops_per_gpu)});
  table.add({"MFU", percent_text(a.mfu), percent_text(b.mfu), relative(a.mfu, b.mfu)});
  table.add({"peak memory, GiB", gib_number(a.memory.peak), gib_number(b.memory.peak),
             relative(a.memory.peak.value, b.memory.peak.value)});
  return table.text(width);
}

std::string fit_text(const char* which, const sim::Memory& memory, std::size_t width) {
  if (memory.fits()) return "";
  return paragraph("",
                   fmt::format("{} does not fit: {} GiB missing; its time is as if it did", which,
                               gib_number(memory.peak - memory.available)),
                   width);
}

std::string signed_time(hw::Seconds time) { return (time.value < 0 ? "-" : "+") + time_text({std::abs(time.value)}); }

std::string order_text(const sim::Difference& d) {
  const bool b_slower = d.step.value > 0;
  const double chance = b_slower ? d.b_slower : 1 - d.b_slower;
  constexpr double kSure = 0.995;
  return fmt::format(
      "B is {} in {} of 100 cases if each errs on its own. What the two share (model, machine, stack, "
      "profile) cancels, so that the order is usually surer than that.",
      b_slower ? "slower" : "faster", chance > kSure ? "more than 99" : fmt::format("{:.0f}", 100 * chance));
}

std::string sureness(const sim::Difference& d, std::size_t width) {
  if (d.step.value == 0) return "B - A       none: both are predicted equally fast\n";
  const auto range = [](const sim::TimeRange& r) { return signed_time(r.low) + " to " + signed_time(r.high); };
  return paragraph("B - A       ", signed_time(d.step), width) +
         paragraph("80 % range  ", range(d.shared) + " if both predictions err alike,", width) +
         paragraph("            ", range(d.independent) + " if each errs on its own; the truth lies between", width) +
         paragraph("order       ", order_text(d), width);
}

/// Of one run only, or of both.
std::string remarks(const char* title, const std::vector<std::string>& a, const std::vector<std::string>& b,
                    std::size_t width) {
  std::string out;
  const auto has = [](const std::vector<std::string>& list, const std::string& text) {
    return std::ranges::find(list, text) != list.end();
  };
  for (const std::string& text : a) out += paragraph(has(b, text) ? "  - A, B: " : "  - A: ", text, width);
  for (const std::string& text : b)
    if (!has(a, text)) out += paragraph("  - B: ", text, width);
  return out.empty() ? "" : "\n" + std::string(title) + "\n" + out;
}

}  // namespace

std::string explanation_text(const Explanation& e, std::size_t width) {
  std::string out = header(e, width) + "\n" + changes_table(e, width) + "\n" + results_table(e, width) + "\n";
  out += sureness(e.difference, width);
  out += fit_text("A", e.a.prediction.memory, width) + fit_text("B", e.b.prediction.memory, width);
  out += "\n" + difference_tables(e, width) + "\n" + op_change_table(e, width);
  out += remarks("assumed, because a description does not state it", e.a.prediction.assumed, e.b.prediction.assumed,
                 width);
  out += remarks("not understood, and not in the numbers", e.a.run().not_understood, e.b.run().not_understood, width);
  return out;
}

}  // namespace cli
