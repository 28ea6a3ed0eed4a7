#pragma once

#include <cstddef>

#include "exec/cpu/group_channel.h"

namespace exec {

/// All-gather round a ring: n - 1 steps, each passing on the row that arrived in the step before. send [bytes],
/// receive [n, bytes]; send may be this rank's row of receive.
void ring_all_gather(const GroupChannel& channel, const void* send, void* receive, std::size_t bytes);

}  // namespace exec
