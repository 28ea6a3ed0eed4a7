#pragma once

#include <cstddef>

#include "exec/cpu/group_channel.h"
#include "exec/cpu/reduce.h"

namespace exec {

/// All-reduce as reduce-scatter and all-gather round a ring: 2(n-1) steps of count/n elements, each between neighbours.
/// A segment is passed on as soon as it is summed. Chunk c is summed from rank c + 1 onwards round the ring, so the
/// order of a sum depends on its place; every rank gets the same bits. send and receive [count] may be the same memory.
/// Source: Patarasu & Yuan, JPDC 69(2), 2009.
void ring_all_reduce(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive, std::size_t count,
                     const Reducer& reducer, std::size_t segment_bytes);

/// Its first half: chunk r of send [n, count] summed into receive [count] on rank r.
void ring_reduce_scatter(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive,
                         std::size_t count, const Reducer& reducer, std::size_t segment_bytes);

}  // namespace exec
