#include "hw/what_if.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "hw/cluster.h"
#include "hw/error_text.h"
#include "hw/input_error.h"
#include "hw/machine_figure.h"

namespace hw {
namespace {

constexpr std::string_view kSystem = "system", kHost = "host", kFlops = "flops";

[[noreturn]] void refuse(const std::string& text, const std::string& rule) {
  throw InputError("--what-if " + shortened(printable(text)) + ": " + rule);
}

bool takes_word(std::string_view figure) { return figure == kSystem || figure == kHost; }

/// `flops` stands for the peaks of all formats.
bool means(const WhatIf& change, std::string_view figure) {
  return change.figure == figure || (change.figure == kFlops && figure.starts_with("flops."));
}

const ProfileFigure* profile_figure(std::string_view name) {
  const auto figures = profile_figures();
  const auto found = std::ranges::find(figures, name, &ProfileFigure::name);
  return found == figures.end() ? nullptr : &*found;
}

std::vector<std::string> figure_names() {
  std::vector<std::string> names{std::string(kSystem), std::string(kFlops)};
  for (const MachineFigure& figure : machine_figures())
    if (figure.name != names.back()) names.emplace_back(figure.name);
  names.emplace_back(kHost);
  for (const ProfileFigure& figure : profile_figures()) names.emplace_back(figure.name);
  return names;
}

void check_figure(const std::string& text, const std::string& figure) {
  const std::vector<std::string> names = figure_names();
  if (std::ranges::find(names, figure) != names.end()) return;
  std::string rule = "no figure " + shortened(printable(figure));
  if (const auto meant = nearest(figure, names)) rule += " (did you mean " + *meant + "?)";
  rule += "; there are";
  for (const std::string& name : names) rule += (&name == &names.front() ? " " : ", ") + name;
  refuse(text, rule);
}

/// What a value without x, + or - is in.
std::string unit_of(std::string_view figure) {
  for (const MachineFigure& known : machine_figures())
    if (known.name == figure) return std::string(known.unit);
  return "";
}

/// The whole of `digits` as a finite number.
std::optional<double> number_in(std::string_view digits) {
  double number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size() && std::isfinite(number);
  return whole ? std::optional(number) : std::nullopt;
}

std::optional<double> factor_in(std::string_view change) {
  if (change.starts_with('x')) return number_in(change.substr(1));
  const bool is_share = change.size() > 2 && change.ends_with('%') && (change[0] == '+' || change[0] == '-');
  if (!is_share || change[1] == '+' || change[1] == '-') return std::nullopt;
  const auto percent = number_in(change.substr(1, change.size() - 2));
  if (!percent) return std::nullopt;
  return 1 + (change[0] == '-' ? -*percent : *percent) / 100;
}

void read_change(const std::string& change, WhatIf& result) {
  const std::string unit = unit_of(result.figure);
  const auto factor = factor_in(change);
  const auto value = unit.empty() ? std::nullopt : number_in(change);
  if (factor ? *factor > 0 : value && *value > 0) {
    result.factor = factor.value_or(0);
    result.value = value.value_or(0);
    return;
  }
  const std::string shares = "a share more or less (+50%, -20%)";
  refuse(result.text, (unit.empty() ? "must be a factor (x2) or " + shares
                                    : "must be a factor (x2), " + shares + " or a value in " + unit) +
                          ", and leave more than 0, got " +
                          (change.empty() ? "nothing" : shortened(printable(change))));
}

double changed_value(const MachineFigure& figure, const WhatIf& change, double stated_value) {
  const double value = change.factor > 0 ? change.factor * stated_value : change.value * figure.in_unit;
  return figure.in_unit > 1 && value != stated_value ? std::round(value) : value;  // bytes are whole
}

Node with_change(const Node& machine, const WhatIf& change) {
  if (change.figure == kHost) return machine.with({{"/host/value", change.word}});
  std::vector<std::pair<std::string, Node::Value>> values;
  for (const MachineFigure& figure : machine_figures()) {
    const auto now = stated(figure, machine);
    if (now && means(change, figure.name))
      values.emplace_back(pointer_of(figure), changed_value(figure, change, *now * figure.in_unit));
  }
  if (values.empty()) refuse(change.text, "machine " + machine.at("name").text() + " does not state it");
  return machine.with(values);
}

bool changes_machine(const WhatIf& change) { return change.figure != kSystem && !profile_figure(change.figure); }

}  // namespace

WhatIf parse_what_if(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) refuse(text, "must be FIGURE=CHANGE such as nic=x2, hbm=+50% or system=gb300");
  WhatIf result{.figure = text.substr(0, equals), .word = {}, .text = text};
  const std::string change = text.substr(equals + 1);
  check_figure(text, result.figure);
  if (!takes_word(result.figure)) {
    read_change(change, result);
  } else if (change.empty()) {
    refuse(text, result.figure == kSystem ? "must name a machine" : "must be x86 or grace");
  } else {
    result.word = change;
  }
  return result;
}

std::vector<WhatIf> parse_what_ifs(const std::vector<std::string>& texts) {
  std::vector<WhatIf> changes;
  for (const std::string& text : texts) {
    WhatIf change = parse_what_if(text);
    if (std::ranges::find(changes, change.figure, &WhatIf::figure) != changes.end())
      refuse(text, "must change " + change.figure + " once");
    changes.push_back(std::move(change));
  }
  return changes;
}

std::string system_of(std::span<const WhatIf> changes) {
  const auto found = std::ranges::find(changes, kSystem, &WhatIf::figure);
  return found == changes.end() ? "" : found->word;
}

Node changed_machine(const Node& machine, std::span<const WhatIf> changes) {
  std::string all;
  for (const WhatIf& change : changes)
    if (changes_machine(change)) all += (all.empty() ? "" : ",") + change.text;
  if (all.empty()) return machine;
  Node result = Node::parse(machine.dump(), "--what-if " + all);
  for (const WhatIf& change : changes)
    if (changes_machine(change)) result = with_change(result, change);
  parse_cluster(result);
  return result;
}

Efficiency changed_efficiency(Efficiency efficiency, std::span<const WhatIf> changes) {
  for (const WhatIf& change : changes)
    if (const ProfileFigure* figure = profile_figure(change.figure)) figure->scale(efficiency, change.factor);
  return efficiency;
}

}  // namespace hw
