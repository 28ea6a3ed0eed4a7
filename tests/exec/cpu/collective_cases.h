#pragma once

#include <cstdint>

#include "exec/cpu/cpu_communicator.h"
#include "exec/transport.h"
#include "hw/dtype.h"

namespace exec_test {

/// Calls every collective with `count` elements a rank and compares what this rank gets with a serial reference. Values
/// are small whole numbers, whose sums all formats hold exactly, in place and apart.
void check_collectives(exec::Transport& transport, const exec::CollectiveAlgorithms& algorithms, hw::DType dtype,
                       std::int64_t count);

/// A group of all ranks.
exec::RankGroup everyone(const exec::Transport& transport);

}  // namespace exec_test
