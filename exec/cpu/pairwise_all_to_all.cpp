#include "exec/cpu/pairwise_all_to_all.h"

#include <cstring>
#include <vector>

namespace exec {
namespace {

std::vector<std::size_t> offsets_of(std::span<const std::size_t> bytes) {
  std::vector<std::size_t> offsets;
  std::size_t at = 0;
  for (const std::size_t each : bytes) {
    offsets.push_back(at);
    at += each;
  }
  return offsets;
}

}  // namespace

void pairwise_all_to_all(const GroupChannel& channel, const void* send, std::span<const std::size_t> send_bytes,
                         void* receive, std::span<const std::size_t> receive_bytes) {
  const std::vector<std::size_t> send_at = offsets_of(send_bytes), receive_at = offsets_of(receive_bytes);
  const auto* const from = static_cast<const std::byte*>(send);
  auto* const into = static_cast<std::byte*>(receive);
  std::vector<Request> requests;
  for (int distance = 1; distance < channel.size(); ++distance) {
    const int source = channel.neighbour(-distance), target = channel.neighbour(distance);
    const auto s = static_cast<std::size_t>(source), t = static_cast<std::size_t>(target);
    if (receive_bytes[s] > 0) requests.push_back(channel.irecv(source, into + receive_at[s], receive_bytes[s]));
    if (send_bytes[t] > 0) requests.push_back(channel.isend(target, from + send_at[t], send_bytes[t]));
  }
  const auto own = static_cast<std::size_t>(channel.index());
  if (send_bytes[own] > 0) std::memcpy(into + receive_at[own], from + send_at[own], send_bytes[own]);
  channel.wait_all(requests);
}

}  // namespace exec
