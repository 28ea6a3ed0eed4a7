#include "hw/intervals.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace hw {
namespace {

Intervals::Widths parse_widths(const Node& node) {
  node.only({"dense", "moe", "dit"});
  return {node.at("dense").positive(), node.at("moe").positive(), node.at("dit").positive()};
}

std::vector<std::string> parse_names(const Node& node) {
  std::vector<std::string> names;
  for (const Node& name : node.elements()) names.push_back(name.text());
  return names;
}

bool knows(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

Intervals parse_intervals(const Node& node) {
  node.only({"source", "date", "layout", "model", "system", "framework", "assumed", "models", "systems", "frameworks"});
  node.at("source").text();
  if (const auto date = node.find("date")) date->text();
  return {.layout = parse_widths(node.at("layout")),
          .model = parse_widths(node.at("model")),
          .system = parse_widths(node.at("system")),
          .framework = parse_widths(node.at("framework")),
          .assumed = node.at("assumed").positive(),
          .models = parse_names(node.at("models")),
          .systems = parse_names(node.at("systems")),
          .frameworks = parse_names(node.at("frameworks"))};
}

double half_width(const Intervals& intervals, const Acquaintance& run) {
  const auto family = static_cast<std::size_t>(run.family);
  const double known = intervals.layout[family];
  double square = known * known;
  const auto widen = [&](const Intervals::Widths& widths, const std::vector<std::string>& names,
                         std::string_view name) {
    if (!knows(names, name)) square += std::max(0.0, widths[family] * widths[family] - known * known);
  };
  widen(intervals.model, intervals.models, run.model);
  widen(intervals.system, intervals.systems, run.system);
  widen(intervals.framework, intervals.frameworks, run.framework);
  return std::sqrt(square) * (run.assumed ? intervals.assumed : 1);
}

}  // namespace hw
