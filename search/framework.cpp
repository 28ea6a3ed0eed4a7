#include "search/framework.h"

#include <filesystem>

#include "hw/units.h"

namespace search {
namespace {

/// `{"value": x, "origin": text}`
hw::Node value(const hw::Node& node, const char* key) {
  const hw::Node fact = node.at(key);
  fact.only({"value", "origin"});
  fact.at("origin").text();
  return fact.at("value");
}

}  // namespace

Framework parse_framework(const hw::Node& node) {
  node.only({"name", "about", "memory_margin", "memory_reserve_gib", "near_miss", "stage_layout", "rules", "space",
             "moe_space"});
  node.at("about").text();
  Framework framework{.name = node.at("name").text(),
                      .memory_margin = value(node, "memory_margin").non_negative(),
                      .memory_reserve = {value(node, "memory_reserve_gib").non_negative() * hw::kGiB},
                      .near_miss = value(node, "near_miss").non_negative(),
                      .stage_form = parse_stage_form(node.at("stage_layout")),
                      .rules = {},
                      .space = node.at("space"),
                      .moe_space = node.at("moe_space")};
  for (const hw::Node& rule : node.at("rules").elements()) framework.rules.push_back(parse_rule(rule));
  return framework;
}

hw::Bytes room_of(double margin, hw::Bytes reserve, const hw::Cluster& cluster) {
  return (1 - margin) * cluster.gpu.memory - reserve;
}

Framework read_framework(const std::string& name, const models::DataDirectory& data) {
  const std::filesystem::path folder = data.path / "configs" / "frameworks";
  const std::filesystem::path own = folder / (name + ".json");
  const bool described = !name.empty() && name.find('/') == std::string::npos && std::filesystem::exists(own);
  return parse_framework(hw::Node::read_file(described ? own : folder / "generic.json"));
}

}  // namespace search
