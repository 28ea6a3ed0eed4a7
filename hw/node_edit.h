#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hw/node.h"

namespace hw {

/// A document of its own in which these values stand at these JSON pointers; members and objects that are not there are
/// added. Throws InputError where something else than an object is in the way.
Node replaced(const Node& document, const std::vector<std::pair<std::string, Node>>& values);

}  // namespace hw
