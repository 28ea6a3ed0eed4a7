#pragma once

#include <cstddef>

#include "exec/cpu/group_channel.h"

namespace exec {

/// Broadcast down a binomial tree from `root`: each rank that has the data hands it on, log2(n) rounds.
void binomial_broadcast(const GroupChannel& channel, void* data, std::size_t bytes, int root);

}  // namespace exec
