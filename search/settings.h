#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "hw/node.h"

namespace search {

/// Run descriptions without a layout: every combination of the values that `space`, `pin` or the framework's own space
/// name for keys that are no sizes (precision, recompute, overlap options, kind of context parallelism, offloading,
/// systems). What the query states at its top level counts once. Throws hw::InputError.
std::vector<hw::Node> settings_of(const hw::Node& query, const hw::Node& framework_space);

/// The members of both objects; those of `over` where both have one.
hw::Node merged(const hw::Node& object, const hw::Node& over);

/// The object without the members of these names.
hw::Node without(const hw::Node& object, std::initializer_list<std::string_view> keys);

/// Keys of a query that are no run description's, and those of a layout that `space` and `pin` take.
bool is_query_key(std::string_view key);
bool is_layout_key(std::string_view key);
bool is_setting_key(std::string_view key);

}  // namespace search
