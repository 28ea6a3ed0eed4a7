#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hw/node.h"

namespace hw {

/// A document of its own in which these values stand at these JSON pointers; a member that is not there is added to its
/// object. Throws InputError where that object is not there.
Node replaced(const Node& document, const std::vector<std::pair<std::string, Node>>& values);

}  // namespace hw
