#pragma once

#include <cstddef>
#include <span>

#include "exec/cpu/group_channel.h"

namespace exec {

/// All-to-all straight between each pair, nearest neighbours round the ring first. Rows of the given bytes lie one
/// after the other in send and receive, which are apart.
void pairwise_all_to_all(const GroupChannel& channel, const void* send, std::span<const std::size_t> send_bytes,
                         void* receive, std::span<const std::size_t> receive_bytes);

}  // namespace exec
