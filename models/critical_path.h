#pragma once

#include <span>
#include <vector>

#include "hw/units.h"
#include "models/step_program.h"

namespace models {

/// The longest chain of one op list of a block, if nothing but its own needs and the order of its stream holds an op
/// back (the host ahead, no two ops sharing a device or link).
struct CriticalPath {
  std::vector<int> ops;  ///< indices in the list, in order
  hw::Seconds length;
};

/// `times[i]`: what op i takes alone; as many as ops. Edges: Op::needs, and the op before on the same stream.
CriticalPath critical_path(const std::vector<Op>& ops, std::span<const hw::Seconds> times);

}  // namespace models
