#pragma once

#include <cstddef>

#include "exec/cpu/group_channel.h"
#include "exec/cpu/reduce.h"

namespace exec {

/// All-reduce whose sums run from rank 0 to rank n - 1 at every place: the same bits whatever the payload's size, the
/// segments and the timing, on every rank and in every one of these functions. Each rank gets its chunk straight from
/// all others, sums it and sends the sum to all: the bytes of a ring in two rounds, but n - 1 peers instead of two.
/// send and receive [count] may be the same memory.
void ordered_all_reduce(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive,
                        std::size_t count, const Reducer& reducer, std::size_t segment_bytes);

/// The same bits in one round, for small payloads: each rank gets everything and sums it itself.
void gathered_all_reduce(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive,
                         std::size_t count, const Reducer& reducer);

/// Row r of send [n, count] summed in that order into receive [count] on rank r.
void ordered_reduce_scatter(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive,
                            std::size_t count, const Reducer& reducer, std::size_t segment_bytes);

}  // namespace exec
