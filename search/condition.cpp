#include "search/condition.h"

#include <algorithm>
#include <array>

#include "hw/error_text.h"

namespace search {
namespace {

using hw::Node;

constexpr std::array<const char*, 22> kNames{"gpus",
                                             "tp",
                                             "pp",
                                             "vp",
                                             "cp",
                                             "ep",
                                             "etp",
                                             "dp",
                                             "sp",
                                             "mbs",
                                             "fsdp",
                                             "replicas",
                                             "zero",
                                             "schedule",
                                             "stages",
                                             "microbatches",
                                             "microbatches_mod_pp",
                                             "uneven",
                                             "tp_cp",
                                             "tp_domains",
                                             "heads_mod_tp_cp",
                                             "cp_comm_type"};

/// Elements of a chunk as the stack's even split counts them.
int counted(const models::StageChunk& chunk, bool count_ends) {
  return chunk.layers + (count_ends ? chunk.embedding + chunk.loss : 0);
}

bool is_uneven(const models::Run& run) {
  const auto& chunks = run.layout.chunks;
  const bool ends = run.traits.count_ends_in_split;
  return std::ranges::any_of(chunks,
                             [&](const auto& chunk) { return counted(chunk, ends) != counted(chunks.front(), ends); });
}

/// Of all kinds of attention, the largest rest of their heads.
std::int64_t heads_mod(const models::Model& model, std::int64_t ranks) {
  std::int64_t rest = 0;
  for (const models::LayerSpec& layer : model.kinds) {
    if (!layer.attention) continue;
    rest = std::max(rest, layer.attention->heads % ranks);
    if (!layer.attention->mla) rest = std::max(rest, layer.attention->kv_heads % ranks);
  }
  return rest;
}

/// A number, true or false, or the name of a schedule.
std::int64_t scalar(const Node& node, Variable variable) {
  if (node.is_boolean()) return node.boolean() ? 1 : 0;
  if (variable == Variable::cp_kind) return node.choice({"p2p", "all_gather", "a2a"});
  if (variable != Variable::schedule) return node.non_negative_int();
  return node.choice({"1f1b", "interleaved", "gpipe", "zb-1p", "zb-2p", "zb-v"});
}

Constraint parse_constraint(const Node& node, Variable variable) {
  Constraint constraint{.variable = variable, .values = {}};
  if (node.is_array()) {
    for (const Node& value : node.elements()) constraint.values.push_back(scalar(value, variable));
    if (constraint.values.empty()) node.fail("must name at least one value");
  } else if (node.is_object()) {
    node.only({"min", "max"});
    if (const auto least = node.find("min")) constraint.least = least->non_negative_int();
    if (const auto most = node.find("max")) constraint.most = most->non_negative_int();
  } else {
    constraint.values = {scalar(node, variable)};
  }
  return constraint;
}

}  // namespace

std::vector<std::string> variable_names() { return {kNames.begin(), kNames.end()}; }

std::optional<Variable> variable_of(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return {};
  return static_cast<Variable>(found - kNames.begin());
}

std::int64_t value_of(Variable variable, const models::Run& run) {
  const models::Layout& l = run.layout;
  switch (variable) {
    case Variable::gpus: return l.gpus;
    case Variable::tp: return l.tp;
    case Variable::pp: return l.pp;
    case Variable::vp: return l.vp;
    case Variable::cp: return l.cp;
    case Variable::ep: return l.ep;
    case Variable::etp: return l.etp;
    case Variable::dp: return l.dp;
    case Variable::sp: return l.sp;
    case Variable::mbs: return l.mbs;
    case Variable::fsdp: return l.fsdp;
    case Variable::replicas: return l.fsdp == 0 ? 1 : l.dp * l.cp / l.fsdp;
    case Variable::zero: return static_cast<int>(l.zero);
    case Variable::schedule: return static_cast<int>(l.schedule);
    case Variable::stages: return l.pp * l.vp;
    case Variable::microbatches: return l.microbatches / l.flushes;
    case Variable::microbatches_mod_pp: return l.microbatches / l.flushes % l.pp;
    case Variable::uneven: return is_uneven(run);
    case Variable::tp_cp: return std::int64_t{l.tp} * l.cp;
    case Variable::tp_domains: return (l.tp + run.cluster.nvlink_domain - 1) / run.cluster.nvlink_domain;
    case Variable::heads_mod_tp_cp: return heads_mod(run.model, std::int64_t{l.tp} * l.cp);
    case Variable::cp_kind: return static_cast<int>(l.cp_kind);
  }
  return 0;
}

bool Constraint::holds(std::int64_t value) const {
  if (value < least || value > most) return false;
  return values.empty() || std::ranges::find(values, value) != values.end();
}

bool Condition::holds(const models::Run& run) const {
  return std::ranges::all_of(constraints,
                             [&](const Constraint& each) { return each.holds(value_of(each.variable, run)); });
}

Condition parse_condition(const Node& node) {
  Condition condition;
  for (const std::string& key : node.keys()) {
    const auto variable = variable_of(key);
    if (!variable) {
      const auto meant = hw::nearest(key, variable_names());
      node.at(key).fail("is no variable of a layout" + (meant ? " (did you mean \"" + *meant + "\"?)" : std::string()));
    }
    condition.constraints.push_back(parse_constraint(node.at(key), *variable));
  }
  return condition;
}

Rule parse_rule(const Node& node) {
  node.only({"when", "need", "origin"});
  Rule rule{.when = {}, .need = parse_condition(node.at("need")), .origin = node.at("origin").text()};
  if (const auto when = node.find("when")) rule.when = parse_condition(*when);
  return rule;
}

bool allowed(const std::vector<Rule>& rules, const models::Run& run) {
  return std::ranges::all_of(rules, [&](const Rule& rule) { return !rule.when.holds(run) || rule.need.holds(run); });
}

}  // namespace search
