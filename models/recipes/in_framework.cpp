#include <algorithm>
#include <string_view>

#include "models/recipes/differences.h"
#include "models/recipes/recipe.h"

namespace recipes {
namespace {

/// What means the same in every framework.
constexpr std::string_view kShared[] = {"model",   "system", "gpus",     "gpus_per_node", "task", "precision",
                                        "seq_len", "gbs",    "mbs",      "lbs",           "tp",   "pp",
                                        "vp",      "cp",     "ep",       "etp",           "dp",   "sp",
                                        "fsdp",    "zero",   "schedule", "recompute"};

bool is_shared(const std::string& key) {
  return std::find(std::begin(kShared), std::end(kShared), key) != std::end(kShared);
}

}  // namespace

hw::Node in_framework(Format format, const hw::Node& run, std::vector<std::string>& dropped) {
  const Value own = canonical(run);
  const Value* framework = find(own, "/framework");
  if (format == Format::hugging_face || (framework != nullptr && *framework == Value(name(format)))) return run;
  Value result;
  for (const auto& [key, value] : *own.as<Value::Object>()) {
    if (is_shared(key)) set(result, "/" + key, value);
  }
  for (const auto& [field, value] : leaves(own)) {
    if (find(result, field) == nullptr && field != "/framework") dropped.push_back(dotted(field));
  }
  set(result, "/framework", name(format));
  return to_node(result, run.file());
}

}  // namespace recipes
