#include "exec/cpu/tree_all_reduce.h"

#include <bit>
#include <cstring>

namespace exec {

void tree_all_reduce(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive, std::size_t count,
                     const Reducer& reducer) {
  const std::size_t bytes = count * reducer.bytes();
  const int members = static_cast<int>(std::bit_floor(static_cast<unsigned>(channel.size())));
  const int index = channel.index();
  if (send != receive && bytes > 0) std::memcpy(receive, send, bytes);
  if (index >= members) {
    channel.wait(channel.isend(index - members, receive, bytes));
    channel.wait(channel.irecv(index - members, receive, bytes));
    return;
  }
  std::byte* const from_peer = at_least(scratch, bytes);
  const bool has_partner = index + members < channel.size();
  if (has_partner) {
    channel.wait(channel.irecv(index + members, from_peer, bytes));
    reducer.pair(receive, receive, from_peer, count);
  }
  for (int distance = 1; distance < members; distance *= 2) {
    const int peer = index ^ distance;
    channel.exchange(peer, receive, bytes, peer, from_peer, bytes);
    reducer.pair(receive, receive, from_peer, count);
  }
  if (has_partner) channel.wait(channel.isend(index + members, receive, bytes));
}

}  // namespace exec
