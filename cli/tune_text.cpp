#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "cli/text_table.h"
#include "cli/tune.h"
#include "cli/wording.h"

namespace cli {
namespace {

using Align = TextTable::Align;
using tuning::Proposal;

constexpr double kWorthNaming = 0.005;  ///< of the recipe's step
constexpr double kMilli = 1e-3;

std::string interval_text(const sim::Prediction& p) { return time_text(p.low) + " to " + time_text(p.high); }

/// The two beside each other; `after` empty where nothing is better.
std::string sides(const Proposal& own, const Proposal* best, std::size_t width) {
  TextTable table({{""}, {"recipe"}, {best ? "tuned" : ""}});
  const auto row = [&](const char* what, const auto& text_of) {
    table.add({what, text_of(own), best ? text_of(*best) : ""});
  };
  row("layout", [](const Proposal& p) { return layout_text(p.run.layout); });
  row("batch", [](const Proposal& p) { return batch_text(p.run.layout); });
  row("recompute", [](const Proposal& p) { return recompute_text(p.run); });
  row("step time", [](const Proposal& p) { return time_text(p.prediction.step_time); });
  row("80 % interval", [](const Proposal& p) { return interval_text(p.prediction); });
  row("MFU", [](const Proposal& p) { return percent_text(p.prediction.mfu); });
  row("memory", [](const Proposal& p) {
    const sim::Memory& memory = p.prediction.memory;
    return fmt::format("{} of {} GiB{}", gib_number(memory.peak), gib_number(memory.available),
                       memory.fits() ? "" : ": does not fit");
  });
  return table.text(width);
}

std::string changes_table(const std::vector<tuning::Change>& changes, std::size_t width) {
  TextTable table({{"changed"}, {"recipe"}, {"tuned"}});
  for (const tuning::Change& change : changes) table.add({change.field, change.before, change.after});
  return table.text(width);
}

struct Part {
  std::string what;
  double before = 0, after = 0;
  double saved() const { return before - after; }
};

std::vector<Part> parts_of(const sim::Prediction& before, const sim::Prediction& after) {
  std::map<std::string, Part> parts;
  for (const sim::BreakdownItem& item : before.breakdown) parts[item.what].before = item.time.value;
  for (const sim::BreakdownItem& item : after.breakdown) parts[item.what].after = item.time.value;
  std::vector<Part> list;
  list.reserve(parts.size());
  for (auto& [what, part] : parts) list.push_back({what, part.before, part.after});
  std::ranges::stable_sort(list, std::greater{}, &Part::saved);
  return list;
}

/// Parts of the step that shrink, largest saving first, then what grows for it.
std::string why_table(const sim::Prediction& before, const sim::Prediction& after, std::size_t width) {
  TextTable table({{"why"}, {"recipe ms", Align::right}, {"tuned ms", Align::right}, {"saved ms", Align::right}, {""}});
  for (const Part& part : parts_of(before, after)) {
    if (std::abs(part.saved()) < kWorthNaming * before.step_time.value) continue;
    table.add({part.what, four_digits(part.before / kMilli), four_digits(part.after / kMilli),
               fmt::format("{:+.4g}", part.saved() / kMilli), std::string(meaning_of_part(part.what))});
  }
  return table.text(width);
}

std::string looked_at(const search::Answer& answer) {
  std::string text =
      fmt::format("{} legal layouts around it, {} of them fit\n", grouped(static_cast<double>(answer.counts.legal)),
                  grouped(static_cast<double>(answer.counts.timed + answer.counts.pruned)));
  if (!answer.complete())
    text += fmt::format("stopped early: {} of {} groups were looked at\n",
                        grouped(static_cast<double>(answer.groups_done)), grouped(static_cast<double>(answer.groups)));
  return text;
}

std::string refused_text(const std::vector<tuning::Refused>& refused) {
  std::string text;
  for (const tuning::Refused& one : refused)
    text += fmt::format("faster ({}), but the recipe cannot say it: {}: {}\n", time_text({one.step_time_s}),
                        changes_text(one.changes), one.why);
  return text;
}

std::string gain_text(const search::Gain& gain) {
  return fmt::format("{} faster, 80 % interval {} to {} (step time before / after - 1)\n", percent_text(gain.ratio - 1),
                     percent_text(gain.low - 1), percent_text(gain.high - 1));
}

/// The measured one has the runs' own noise for an interval.
std::string measured_gain(const tuning::Tries& tries) {
  constexpr double kInterval80 = 1.2816;  // deviations of a normal distribution
  const tuning::Trial& best = tries.trials[*tries.pick];
  const double factor = std::exp(kInterval80 * best.deviation);
  const double ratio = tries.trials.front().time / best.time;
  return "measured: " + gain_text({.ratio = ratio, .low = ratio / factor, .high = ratio * factor});
}

}  // namespace

std::string changes_text(const std::vector<tuning::Change>& changes) {
  std::string text;
  for (const tuning::Change& change : changes) text += (text.empty() ? "" : ", ") + change.field + " " + change.after;
  return text;
}

std::string tuned_text(const Tuned& tuned, std::size_t width) {
  const Proposal& own = tuned.proposals.own;
  const Proposal* best = tuned.pick.proposal;
  std::string out = fmt::format("{} on {} {}, {}\n", own.run.model.name, own.run.layout.gpus, own.run.cluster.gpu.name,
                                own.run.framework);
  out += looked_at(tuned.answer) + "\n" + sides(own, best, width) + "\n";
  out += tries_text(tuned, width);
  if (best == nullptr) return out + "no layout is faster than the recipe's\n" + refused_text(tuned.pick.refused);
  if (!own.prediction.memory.fits()) out += "the recipe does not fit in memory, the tuned one does\n";
  out += tuned.tries != nullptr ? measured_gain(*tuned.tries) : gain_text(tuning::gain_of(tuned.proposals, *best));
  out += "\n";
  out += changes_table(best->changes, width) + "\n";
  out += why_table(own.prediction, best->prediction, width);
  return out + refused_text(tuned.pick.refused);
}

}  // namespace cli
