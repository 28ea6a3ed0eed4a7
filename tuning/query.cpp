#include "tuning/query.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "search/framework.h"
#include "search/settings.h"

namespace tuning {
namespace {

using recipes::Value;

/// Says where layers lie, which follows from the layout that is looked for.
constexpr std::array<std::string_view, 8> kFollowsFromLayout{"/extra/pp_layout",
                                                             "/overlap/pp/layers_per_stage_yaml",
                                                             "/overlap/pp/round_virtual_stages",
                                                             "/overlap/pp/schedule",
                                                             "/overlap/pp/microbatches_per_flush",
                                                             "/overlap/pp/flushes_per_step",
                                                             "/extra/activation_checkpointing",
                                                             "/overlap/schedule"};
std::string framework_of(const Value& run) {
  const Value* name = recipes::find(run, "/framework");
  const auto* text = name == nullptr ? nullptr : name->as<std::string>();
  return text == nullptr ? "" : *text;
}

Value::List list_of(const hw::Node& space, const char* key) {
  const auto values = space.find(key);
  if (!values) return {};
  const Value holder = recipes::from_node(*values);
  return *holder.as<Value::List>();
}

/// What the framework's searches recompute, and what the run does now.
Value::List recompute_values(const Value& run, const std::string& file, models::Library& library) {
  const search::Framework framework = search::read_framework(framework_of(run), library.data());
  const bool has_experts = library.model(recipes::to_node(run, file).at("model")).family() == models::Family::moe;
  const bool by_experts = has_experts && framework.moe_space.has("recompute");
  Value::List values = list_of(by_experts ? framework.moe_space : framework.space, "recompute");
  const Value* own = recipes::find(run, "/recompute");
  if (own != nullptr && own->as<Value::Object>() && std::ranges::find(values, *own) == values.end())
    values.push_back(*own);
  return values;
}

/// Overlap that Megatron's recipes may turn off, and that a faster layout may want on.
constexpr std::array<const char*, 3> kOverlapOptions{"tp_comm_overlap", "dp_grad_reduce", "dp_param_gather"};

/// As the run has it, and with all on that it turns off. Transformer Engine has no tensor-parallel overlap in NVFP4.
Value::List overlap_values(const Value& run) {
  const Value* precision = recipes::find(run, "/precision");
  const bool is_nvfp4 = precision != nullptr && *precision == Value("nvfp4");
  Value::Object on;
  for (const char* option : kOverlapOptions) {
    const Value* stated = recipes::find(run, std::string("/overlap/") + option);
    if (stated == nullptr || !(*stated == Value(false))) continue;
    if (is_nvfp4 && std::string_view(option) == "tp_comm_overlap") continue;
    on.emplace_back(option, true);
  }
  if (on.empty()) return {};
  return {Value::Object{}, on};
}

bool has(const Value::Object& object, std::string_view key) {
  return std::ranges::any_of(object, [key](const auto& member) { return member.first == key; });
}

/// The run without its layout.
Value open_run(const Value& run) {
  Value open = run;
  for (const auto& [key, value] : *run.as<Value::Object>())
    if (search::is_layout_key(key) && key != "gpus") recipes::erase(open, "/" + key);
  for (const std::string_view pointer : kFollowsFromLayout) recipes::erase(open, pointer);
  return open;
}

}  // namespace

hw::Node query_around(const Value& run, const Bounds& bounds, const std::string& file, models::Library& library) {
  Value query = open_run(run);
  Value::Object space = bounds.space;
  if (!has(space, "recompute") && !has(bounds.pin, "recompute")) {
    recipes::erase(query, "/recompute");
    const Value::List values = recompute_values(run, file, library);
    if (!values.empty()) space.emplace_back("recompute", values);
  }
  if (!has(space, "overlap") && !has(bounds.pin, "overlap"))
    if (const Value::List values = overlap_values(run); !values.empty()) space.emplace_back("overlap", values);
  if (!space.empty()) recipes::set(query, "/space", space);
  if (!bounds.pin.empty()) recipes::set(query, "/pin", bounds.pin);
  if (!bounds.forbid.empty()) recipes::set(query, "/forbid", Value::List(bounds.forbid));
  recipes::set(query, "/rerank", bounds.rerank);
  recipes::set(query, "/top", 1);
  return recipes::to_node(query, file);
}

}  // namespace tuning
