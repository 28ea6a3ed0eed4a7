#include "exec/cpu/ring_all_gather.h"

#include <cstring>
#include <vector>

namespace exec {

void ring_all_gather(const GroupChannel& channel, const void* send, void* receive, std::size_t bytes) {
  if (bytes == 0) return;
  const auto row = [&](int rank) {
    return static_cast<std::byte*>(receive) + static_cast<std::size_t>(channel.neighbour(rank)) * bytes;
  };
  const int steps = channel.size() - 1;
  std::vector<Request> receives, sends;
  for (int step = 0; step < steps; ++step)
    receives.push_back(channel.irecv(channel.neighbour(-1), row(-1 - step), bytes));
  if (steps > 0) sends.push_back(channel.isend(channel.neighbour(1), send, bytes));
  if (send != row(0)) std::memcpy(row(0), send, bytes);
  for (int step = 0; step < steps; ++step) {
    channel.wait(receives[static_cast<std::size_t>(step)]);
    if (step + 1 < steps) sends.push_back(channel.isend(channel.neighbour(1), row(-1 - step), bytes));
  }
  channel.wait_all(sends);
}

}  // namespace exec
