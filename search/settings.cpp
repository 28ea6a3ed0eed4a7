#include "search/settings.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "hw/error_text.h"

namespace search {
namespace {

using hw::Node;

constexpr std::array<std::string_view, 11> kQueryKeys{
    "space",         "pin", "forbid", "objective",   "goal",  "price_per_gpu_hour",
    "memory_margin", "top", "rerank", "fewest_gpus", "stages"};
constexpr std::array<std::string_view, 15> kLayoutKeys{
    "gpus", "tp", "pp", "vp", "cp", "ep", "etp", "dp", "ga", "sp", "mbs", "fsdp", "zero", "schedule", "cp_comm_type"};

/// A key of `space` whose values stand somewhere in a run description.
struct SettingKey {
  std::string_view name;
  std::string_view object;  ///< the open object that holds it; empty: the top level
  std::string_view key;     ///< its name there
  bool merged = false;      ///< an object whose members are added to those of the query
};
constexpr std::array<SettingKey, 8> kSettingKeys{{{"system", "", "system"},
                                                  {"precision", "", "precision"},
                                                  {"recompute", "", "recompute"},
                                                  {"cuda_graph", "", "cuda_graph"},
                                                  {"overlap", "", "overlap", true},
                                                  {"moe", "", "moe", true},
                                                  {"optimizer", "", "optimizer", true},
                                                  {"offload_layers", "extra", "cpu_offloading_num_layers"}}};

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

/// Members of a JSON object as text, in order.
using Members = std::vector<std::pair<std::string, std::string>>;

Members members_of(const Node& object) {
  Members members;
  for (const std::string& key : object.keys())
    if (object.has(key)) members.emplace_back(key, object.at(key).dump());
  return members;
}

std::string object_text(const Members& members) {
  std::string text;
  for (const auto& [key, value] : members) text += (text.empty() ? "" : ", ") + in_quotes(key) + ": " + value;
  return "{" + text + "}";
}

void set(Members& members, std::string_view key, const std::string& value) {
  const auto known = std::ranges::find(members, key, &std::pair<std::string, std::string>::first);
  if (known != members.end()) known->second = value;
  else members.emplace_back(key, value);
}

/// Puts a value where `key` says into the members of a run description.
void place(Members& run, const SettingKey& key, const Node& value, const Node& query) {
  if (key.object.empty() && !key.merged) return set(run, key.key, value.dump());
  const std::string_view owner = key.merged ? key.key : key.object;
  const auto known = std::ranges::find(run, owner, &std::pair<std::string, std::string>::first);
  if (key.merged && !value.is_object()) return set(run, owner, value.dump());
  Members inner;
  if (known != run.end()) {
    const Node before = Node::parse(known->second, query.file());
    if (before.is_object()) inner = members_of(before);
  }
  if (key.merged) {
    for (const auto& [name, text] : members_of(value)) set(inner, name, text);
  } else {
    set(inner, key.key, value.dump());
  }
  set(run, owner, object_text(inner));
}

bool states(const Node& query, const SettingKey& key) {
  if (key.object.empty()) return query.has(key.key);
  const auto owner = query.find(key.object);
  return owner && owner->is_object() && owner->has(key.key);
}

std::vector<Node> list(const Node& value) { return value.is_array() ? value.elements() : std::vector<Node>{value}; }

/// Values of one key: of the query's space, its pin, or else, where it states nothing, of the framework's space.
std::vector<Node> values_of(const Node& query, const Node& framework_space, const SettingKey& key) {
  const std::string name(key.name);
  if (const auto pin = query.find("pin"))
    if (const auto value = pin->find(name)) return {*value};
  if (const auto space = query.find("space")) {
    if (const auto values = space->find(name)) {
      const std::vector<Node> all = values->elements();
      if (all.empty()) values->fail("must name at least one value");
      return all;
    }
  }
  if (key.name == "system") return list(query.at("system"));
  const auto usual = framework_space.find(name);
  if (!usual || states(query, key)) return {};
  return usual->elements();
}

}  // namespace

bool is_query_key(std::string_view key) { return std::ranges::find(kQueryKeys, key) != kQueryKeys.end(); }
bool is_layout_key(std::string_view key) { return std::ranges::find(kLayoutKeys, key) != kLayoutKeys.end(); }
bool is_setting_key(std::string_view key) {
  return std::ranges::find(kSettingKeys, key, &SettingKey::name) != kSettingKeys.end();
}

Node merged(const Node& object, const Node& over) {
  Members members = members_of(object);
  for (const auto& [key, text] : members_of(over)) set(members, key, text);
  return Node::parse(object_text(members), over.file());
}

Node without(const Node& object, std::initializer_list<std::string_view> keys) {
  Members members = members_of(object);
  std::erase_if(members, [&](const auto& member) { return std::ranges::find(keys, member.first) != keys.end(); });
  return Node::parse(object_text(members), object.file());
}

std::vector<Node> settings_of(const Node& query, const Node& framework_space) {
  Members base;
  for (const auto& [key, text] : members_of(query))
    if (!is_query_key(key) && !is_layout_key(key)) base.emplace_back(key, text);
  std::vector<Members> settings{base};
  for (const SettingKey& key : kSettingKeys) {
    const std::vector<Node> values = values_of(query, framework_space, key);
    if (values.empty()) continue;
    std::vector<Members> more;
    for (const Members& setting : settings) {
      for (const Node& value : values) {
        more.push_back(setting);
        place(more.back(), key, value, query);
      }
    }
    settings = std::move(more);
  }
  std::vector<Node> nodes;
  nodes.reserve(settings.size());
  for (const Members& setting : settings) nodes.push_back(Node::parse(object_text(setting), query.file()));
  return nodes;
}

}  // namespace search
