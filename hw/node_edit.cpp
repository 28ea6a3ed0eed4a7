#include "hw/node_edit.h"

#include <nlohmann/json.hpp>

#include "hw/error_text.h"
#include "hw/input_error.h"

namespace hw {

Node replaced(const Node& document, const std::vector<std::pair<std::string, Node>>& values) {
  using Json = nlohmann::ordered_json;
  Json root = Json::parse(document.dump());
  for (const auto& [pointer, value] : values) {
    try {
      root[Json::json_pointer(pointer)] = Json::parse(value.dump());
    } catch (const Json::exception&) {
      throw InputError(document.file() + ": " + printable(pointer) + ": must lie in objects");
    }
  }
  return Node::parse(root.dump(), document.file());
}

}  // namespace hw
