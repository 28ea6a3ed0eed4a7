#include "tuning/layout_change.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "tuning/json_text.h"

namespace tuning {
namespace {

using models::Layout;
using recipes::Value;

struct Size {
  const char* key;
  int Layout::*member;
};
constexpr std::array<Size, 8> kSizes{{{"tp", &Layout::tp},
                                      {"pp", &Layout::pp},
                                      {"vp", &Layout::vp},
                                      {"cp", &Layout::cp},
                                      {"ep", &Layout::ep},
                                      {"etp", &Layout::etp},
                                      {"mbs", &Layout::mbs},
                                      {"fsdp", &Layout::fsdp}}};
constexpr const char* kSchedules[] = {"1f1b", "interleaved", "gpipe", "zb-1p", "zb-2p", "zb-v"};
constexpr const char* kCpKinds[] = {"p2p", "all_gather", "a2a"};

std::string pointer(std::string_view key) { return "/" + std::string(key); }

/// ZeRO 0 and 1 are one where nothing is replicated: then the recipe's word stays.
bool same_zero(const Layout& was, const Layout& is) {
  const bool alone = is.dp * is.cp == 1 && was.dp * was.cp == 1;
  return was.zero == is.zero || (alone && was.zero <= models::Zero::optimizer && is.zero <= models::Zero::optimizer);
}

/// How many layers a stage holds follows from the sizes, unless they do not divide.
void place_stages(const search::Row& row, Value& after) {
  for (const char* stated : {"/extra/pp_layout", "/overlap/pp/layers_per_stage_yaml", "/overlap/pp/schedule",
                             "/overlap/pp/round_virtual_stages"})
    recipes::erase(after, stated);
  const Value described = recipes::from_node(row.description);
  if (const Value* uneven = recipes::find(described, "/extra/pp_layout"))
    recipes::set(after, "/extra/pp_layout", *uneven);
}

void set_sizes(const Layout& was, const Layout& is, Value& after) {
  for (const Size& size : kSizes)
    if (was.*size.member != is.*size.member) recipes::set(after, pointer(size.key), is.*size.member);
  if (was.sp != is.sp) recipes::set(after, "/sp", is.sp);
  if (!same_zero(was, is)) recipes::set(after, "/zero", static_cast<int>(is.zero));
  if (was.schedule != is.schedule) recipes::set(after, "/schedule", kSchedules[static_cast<int>(is.schedule)]);
  if (is.cp > 1 && was.cp_kind != is.cp_kind)
    recipes::set(after, "/extra/cp_comm_type", kCpKinds[static_cast<int>(is.cp_kind)]);
}

/// A recipe that checkpoints activations by a switch keeps the switch.
void set_recompute(const search::Row& row, Value& after) {
  const Value described = recipes::from_node(row.description);
  const Value* recompute = recipes::find(described, "/recompute");
  if (recompute == nullptr) return;
  const Value* mode = recipes::find(*recompute, "/mode");
  if (recipes::find(after, "/extra/activation_checkpointing") != nullptr && mode != nullptr) {
    recipes::erase(after, "/recompute");
    recipes::set(after, "/extra/activation_checkpointing", !(*mode == Value("none")));
    return;
  }
  const Value* stated = recipes::find(after, "/recompute");
  if (stated == nullptr || !(*stated == *recompute)) recipes::set(after, "/recompute", *recompute);
}

bool same_recompute(const models::Run& was, const models::Run& is) {
  const auto modules = [](const models::Run& run) {
    const models::RecomputeModules& m = run.recompute.modules;
    return std::array{m.core_attention, m.layernorm,      m.mla_up_proj,   m.mlp, m.moe,
                      m.moe_act,        m.shared_experts, m.self_attention};
  };
  return was.recompute.mode == is.recompute.mode && was.recompute.layers == is.recompute.layers &&
         was.recompute.block == is.recompute.block && modules(was) == modules(is);
}

/// Settings that the search varied because its query names them (overlap options and the like).
void set_settings(const search::Row& row, Value& after) {
  const Value described = recipes::from_node(row.description);
  for (const char* key : {"/precision", "/cuda_graph", "/overlap", "/moe", "/optimizer"}) {
    const Value* value = recipes::find(described, key);
    if (value == nullptr) continue;
    if (!value->as<Value::Object>()) {
      recipes::set(after, key, *value);
      continue;
    }
    for (const auto& [leaf, inner] : recipes::leaves(*value)) recipes::set(after, key + leaf, inner);
  }
}

std::string text_of(const Value* value) {
  if (value == nullptr) return "not stated";
  const auto* text = value->as<std::string>();
  return text ? *text : recipes::json(*value);
}

std::string dotted_name(std::string pointer) {
  pointer.erase(0, 1);
  std::ranges::replace(pointer, '/', '.');
  return pointer;
}

}  // namespace

Value laid_out(const Value& run, const models::Run& was, const search::Row& row) {
  Value after = run;
  const Layout &before = was.layout, &is = row.run.layout;
  set_settings(row, after);
  if (before.pp != is.pp || before.vp != is.vp || before.schedule != is.schedule) place_stages(row, after);
  set_sizes(before, is, after);
  if (!same_recompute(was, row.run)) set_recompute(row, after);
  for (const char* derived : {"/dp", "/ga"}) recipes::erase(after, derived);
  return after;
}

std::vector<Change> changes_of(const Value& before, const models::Run& was, const Value& after, const models::Run& is) {
  std::vector<Change> changes;
  for (const Size& size : kSizes) {
    const int from = was.layout.*size.member, to = is.layout.*size.member;
    if (from != to) changes.push_back({size.key, std::to_string(from), std::to_string(to)});
  }
  const auto is_size = [](const std::string& place) {
    return std::ranges::any_of(kSizes, [&](const Size& size) { return place == pointer(size.key); });
  };
  for (const auto& [place, value] : changes_between(before, after)) {
    if (is_size(place) || place == "/dp" || place == "/ga") continue;
    changes.push_back(
        {dotted_name(place), text_of(recipes::find(before, place)), value ? text_of(&*value) : "not stated"});
  }
  return changes;
}

}  // namespace tuning
