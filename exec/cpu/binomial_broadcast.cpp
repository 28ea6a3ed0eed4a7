#include "exec/cpu/binomial_broadcast.h"

#include <vector>

namespace exec {

void binomial_broadcast(const GroupChannel& channel, void* data, std::size_t bytes, int root) {
  if (bytes == 0) return;
  // Places in the tree count from the root; a place's parent lacks its lowest bit, its children add lower ones.
  const int size = channel.size(), place = (channel.index() - root + size) % size;
  const auto rank_at = [&](int at) { return (at + root) % size; };
  int lowest = 1;
  while (lowest < size && (place & lowest) == 0) lowest *= 2;
  if (place != 0) channel.wait(channel.irecv(rank_at(place - lowest), data, bytes));
  std::vector<Request> sends;
  for (int bit = lowest / 2; bit > 0; bit /= 2)
    if (place + bit < size) sends.push_back(channel.isend(rank_at(place + bit), data, bytes));
  channel.wait_all(sends);
}

}  // namespace exec
