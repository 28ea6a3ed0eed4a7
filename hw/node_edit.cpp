#include "hw/node_edit.h"

#include <nlohmann/json.hpp>

#include "hw/error_text.h"
#include "hw/input_error.h"

namespace hw {

Node replaced(const Node& document, const std::vector<std::pair<std::string, Node>>& values) {
  using Json = nlohmann::ordered_json;
  Json root = Json::parse(document.dump());
  for (const auto& [pointer, value] : values) {
    const Json::json_pointer at(pointer);
    const Json::json_pointer parent = at.parent_pointer();
    if (!root.contains(parent) || !root.at(parent).is_object())
      throw InputError(document.file() + ": " + printable(pointer) + ": must lie in an object that is there");
    root[at] = Json::parse(value.dump());
  }
  return Node::parse(root.dump(), document.file());
}

}  // namespace hw
