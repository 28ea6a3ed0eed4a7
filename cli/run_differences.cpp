#include "cli/run_differences.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "hw/machine_figure.h"

namespace cli {
namespace {

using Values = std::vector<std::pair<std::string, std::string>>;  ///< by dotted key, in the order of the file

bool is_for_people(std::string_view key) {
  constexpr std::string_view kKeys[] = {"id", "hardware_note", "notes", "source", "trust", "measured"};
  return std::ranges::find(kKeys, key) != std::end(kKeys);
}

std::string value_text(const hw::Node& value) { return value.is_text() ? value.text() : value.dump(); }

/// A model or machine: its name, or that of the description in place.
std::string described_name(const hw::Node& reference) {
  if (!reference.is_object()) return value_text(reference);
  const auto name = reference.find("name");
  return name && name->is_text() ? name->text() : "given in place";
}

void flatten(const hw::Node& object, const std::string& prefix, Values& out) {
  for (const std::string& key : object.keys()) {
    const auto value = object.find(key);
    if (!value || (prefix.empty() && is_for_people(key))) continue;
    if (prefix.empty() && (key == "model" || key == "system")) {
      out.emplace_back(key, described_name(*value));
    } else if (value->is_object()) {
      flatten(*value, prefix + key + ".", out);
    } else {
      out.emplace_back(prefix + key, value_text(*value));
    }
  }
}

std::optional<std::string> value_of(const Values& values, const std::string& key) {
  const auto found = std::ranges::find(values, key, &Values::value_type::first);
  return found == values.end() ? std::nullopt : std::optional(found->second);
}

/// What a machine states by figure, in the order of the tables of figures.
struct Figure {
  std::string_view name, unit;
  std::string value;
};

std::vector<Figure> figures_of(const StatedMachine& machine) {
  std::vector<Figure> figures;
  for (const hw::MachineFigure& figure : hw::machine_figures())
    if (const auto value = hw::stated(figure, machine.description))
      figures.push_back({figure.name, figure.unit, fmt::format("{:.6g}", *value)});
  figures.push_back({"host", "", machine.description.at("host").at("value").text()});
  for (const hw::ProfileFigure& figure : hw::profile_figures())
    figures.push_back({figure.name, figure.unit, fmt::format("{:.6g}", figure.read(machine.efficiency))});
  return figures;
}

}  // namespace

std::vector<StatedChange> changed_keys(const hw::Node& a, const hw::Node& b) {
  Values in_a, in_b;
  flatten(a, "", in_a);
  flatten(b, "", in_b);
  std::vector<StatedChange> changes;
  for (const auto& [key, value] : in_a)
    if (const auto other = value_of(in_b, key); other != value) changes.push_back({key, "", value, other});
  for (const auto& [key, value] : in_b)
    if (!value_of(in_a, key)) changes.push_back({key, "", std::nullopt, value});
  return changes;
}

std::vector<StatedChange> changed_figures(const StatedMachine& a, const StatedMachine& b) {
  const std::vector<Figure> in_a = figures_of(a), in_b = figures_of(b);
  std::vector<StatedChange> changes;
  const auto add = [&changes](const Figure& figure, std::optional<std::string> was, std::optional<std::string> is) {
    changes.push_back({std::string(figure.name), std::string(figure.unit), std::move(was), std::move(is)});
  };
  for (const Figure& figure : in_a) {
    const auto other = std::ranges::find(in_b, figure.name, &Figure::name);
    if (other == in_b.end()) add(figure, figure.value, std::nullopt);
    if (other != in_b.end() && other->value != figure.value) add(figure, figure.value, other->value);
  }
  for (const Figure& figure : in_b)
    if (std::ranges::find(in_a, figure.name, &Figure::name) == in_a.end()) add(figure, std::nullopt, figure.value);
  return changes;
}

}  // namespace cli
