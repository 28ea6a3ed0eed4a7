#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hw/efficiency.h"
#include "hw/node.h"

namespace cli {

/// A key of a run description, or a figure of a machine, that two runs state differently. Nothing: not stated.
struct StatedChange {
  std::string what, unit;
  std::optional<std::string> a, b;
};

/// Keys of the run descriptions a and b with different values, nested ones as `overlap.pp.schedule`. What is only for
/// people (id, notes, sources) and what was measured do not count; models and systems given in place count by name.
std::vector<StatedChange> changed_keys(const hw::Node& a, const hw::Node& b);

/// Figures of machines, and of the profile for them, with different values.
struct StatedMachine {
  const hw::Node& description;
  const hw::Efficiency& efficiency;
};
std::vector<StatedChange> changed_figures(const StatedMachine& a, const StatedMachine& b);

}  // namespace cli
