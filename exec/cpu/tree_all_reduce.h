#pragma once

#include <cstddef>

#include "exec/cpu/group_channel.h"
#include "exec/cpu/reduce.h"

namespace exec {

/// All-reduce by recursive doubling: log2(n) rounds of the whole payload, for small ones. Ranks beyond the largest
/// power of two first hand theirs to a partner and get the result back. Every rank gets the same bits, but for NaN
/// payloads. send and receive [count] may be the same memory.
void tree_all_reduce(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive, std::size_t count,
                     const Reducer& reducer);

}  // namespace exec
