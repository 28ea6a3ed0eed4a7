#pragma once

#include <string>
#include <utility>
#include <vector>

#include "calibration/operator_table.h"
#include "hw/node.h"

namespace calibration {

/// Curves of machines and formats without a table of their own, from the nearest that has one: values of a profile by
/// JSON pointer, Origin::interpolated, each with a note that says what of. Only what `fitted` (likewise values by
/// pointer) replaces anew is lent on. The list: docs/calibration.md, borrowed curves.
///   prior  tells which machines a profile has
std::vector<std::pair<std::string, hw::Node>> borrowed_curves(
    const std::vector<std::pair<std::string, hw::Node>>& fitted, const hw::Node& prior, const OperatorTables& tables);

}  // namespace calibration
