#include "models/recipes/differences.h"

#include <algorithm>

#include "hw/input_error.h"
#include "models/recipes/run_facts.h"

namespace recipes {
namespace {

constexpr std::string_view kForPeople[] = {"/hardware_note", "/notes", "/source", "/trust", "/measured", "/id"};
constexpr std::string_view kFollows[] = {"/dp",
                                         "/ga",
                                         "/gpus_per_node",
                                         "/moe/ep_shard",
                                         "/moe/avg_ep_ranks_per_token",
                                         "/moe/avg_8gpu_nodes_per_token",
                                         "/overlap/pp/microbatches_per_flush",
                                         "/overlap/pp/flushes_per_step"};

/// The facts of `run` with some fields as `other` has them; empty where that is no run.
std::vector<std::string> facts_with(Value run, const std::vector<std::string>& fields, const Value& other,
                                    models::Library& library) {
  try {
    for (const std::string& field : fields) set(run, field, *find(other, field));
    return run_facts(models::parse_run(to_node(run, "run"), library, false));
  } catch (const hw::InputError&) {
    return {};
  } catch (const std::bad_variant_access&) {
    return {};
  }
}

}  // namespace

std::string dotted(std::string_view pointer) {
  std::string text(pointer.starts_with('/') ? pointer.substr(1) : pointer);
  std::replace(text.begin(), text.end(), '/', '.');
  return text;
}

std::string pointer_of(std::string field) {
  std::replace(field.begin(), field.end(), '.', '/');
  return field.starts_with('/') ? field : "/" + field;
}

Value canonical(const hw::Node& run) {
  Value value = from_node(run);
  for (const std::string_view field : kForPeople) erase(value, field);
  for (const auto& [field, inner] : {std::pair("/cuda_graph", "/impl"), std::pair("/optimizer", "/name")}) {
    const Value* stated = find(value, field);
    if (stated == nullptr || stated->as<std::string>() == nullptr) continue;
    Value object;
    set(object, inner, *stated);
    set(value, field, std::move(object));
  }
  if (const Value* mode = find(value, "/recompute/mode"); mode != nullptr && *mode == Value("none"))
    set(value, "/recompute", Value::Object{{"mode", "none"}});  // of nothing there are no modules and layers
  return value;
}

bool follows(std::string_view field) {
  return std::find(std::begin(kFollows), std::end(kFollows), field) != std::end(kFollows);
}

std::vector<std::string> differences(const Value& wanted, const Value& got) {
  std::vector<std::string> fields;
  for (const auto& [field, value] : leaves(wanted)) {
    const Value* other = find(got, field);
    if (other == nullptr || *other != value) fields.push_back(field);
  }
  return fields;
}

std::vector<std::string> differences_that_matter(const Value& wanted, const Value& got, models::Library& library,
                                                 std::vector<std::string>& same) {
  const std::vector<std::string> fields = differences(wanted, got);
  const std::vector<std::string> facts = facts_with(got, {}, wanted, library);
  std::vector<std::string> matter;
  for (const std::string& field : fields) {
    const bool is_same = !facts.empty() && (follows(field) || facts_with(got, {field}, wanted, library) == facts);
    (is_same ? same : matter).push_back(field);
  }
  return matter;
}

}  // namespace recipes
