#include "exec/cpu/ring_all_reduce.h"

#include <algorithm>
#include <vector>

#include "exec/cpu/partition.h"

namespace exec {
namespace {

/// Segments received ahead of the one being summed.
constexpr std::size_t kWindow = 8;

/// One rank's walk round the ring. Messages are numbered step * segments + segment in order of arrival; at step s the
/// rank receives chunk rank - 2 - s from the rank before it and sends chunk rank - 1 - s to the rank behind it, so that
/// after n - 1 steps it holds the whole sum of its own chunk.
class Ring {
 public:
  Ring(const GroupChannel& channel, const Partition& partition, const Reducer& reducer)
      : channel_(channel), partition_(partition), reducer_(reducer) {}

  std::size_t messages(std::size_t steps) const { return steps * partition_.segments; }
  std::size_t step_of(std::size_t message) const { return message / partition_.segments; }
  std::size_t offset(Range range) const { return range.begin * reducer_.bytes(); }
  std::size_t bytes(Range range) const { return range.count * reducer_.bytes(); }

  Range arriving(std::size_t message) const { return segment(message, 2); }
  Range leaving(std::size_t message) const { return segment(message, 1); }

  /// Empty segments are not sent: both sides know their lengths.
  Request receive(std::size_t message, void* into) const {
    const Range range = arriving(message);
    return range.count > 0 ? channel_.irecv(channel_.neighbour(-1), into, bytes(range)) : nullptr;
  }
  Request send(std::size_t message, const void* from) const {
    const Range range = leaving(message);
    return range.count > 0 ? channel_.isend(channel_.neighbour(1), from, bytes(range)) : nullptr;
  }

 private:
  Range segment(std::size_t message, int behind) const {
    const int chunk = channel_.neighbour(-behind - static_cast<int>(step_of(message)));
    return partition_.segment(chunk, message % partition_.segments);
  }

  const GroupChannel& channel_;
  const Partition& partition_;
  const Reducer& reducer_;
};

}  // namespace

void ring_all_reduce(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive, std::size_t count,
                     const Reducer& reducer, std::size_t segment_bytes) {
  const Partition partition(count, channel.size(), segment_bytes / reducer.bytes());
  const Ring ring(channel, partition, reducer);
  const std::size_t summing = ring.messages(static_cast<std::size_t>(channel.size()) - 1), all = 2 * summing;
  const std::size_t window = std::min(kWindow, partition.segments);
  const std::size_t slot_bytes = partition.largest_segment() * reducer.bytes();
  std::byte* const slots = at_least(scratch, window * slot_bytes);
  const auto* const own = static_cast<const std::byte*>(send);
  auto* const out = static_cast<std::byte*>(receive);
  std::vector<Request> receives(all), sends(all);

  const auto slot = [&](std::size_t message) { return slots + (message % window) * slot_bytes; };
  const auto post = [&](std::size_t message) {
    if (message < summing) {
      receives[message] = ring.receive(message, slot(message));
    } else {  // over the partial sum that was sent from there n - 1 steps before
      channel.wait(sends[message - summing]);
      receives[message] = ring.receive(message, out + ring.offset(ring.arriving(message)));
    }
  };
  for (std::size_t m = 0; m < window && m < all; ++m) post(m);
  for (std::size_t m = 0; m < partition.segments && m < all; ++m)
    sends[m] = ring.send(m, own + ring.offset(ring.leaving(m)));
  for (std::size_t m = 0; m < all; ++m) {
    channel.wait(receives[m]);
    const Range range = ring.arriving(m);
    const std::size_t offset = ring.offset(range), next = m + partition.segments;
    if (m < summing) reducer.pair(out + offset, slot(m), own + offset, range.count);
    if (next < all) sends[next] = ring.send(next, out + offset);
    if (m + window < all) post(m + window);
  }
  channel.wait_all(sends);
}

void ring_reduce_scatter(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive,
                         std::size_t count, const Reducer& reducer, std::size_t segment_bytes) {
  const auto ranks = static_cast<std::size_t>(channel.size());
  const Partition partition(count * ranks, channel.size(), segment_bytes / reducer.bytes());
  const Ring ring(channel, partition, reducer);
  const std::size_t all = ring.messages(ranks - 1);
  const std::size_t slot_bytes = partition.largest_segment() * reducer.bytes();
  const std::size_t window = std::min(kWindow, partition.segments);
  // A partial sum stays in its slot until it is sent on, so a slot comes round again after a step and a window.
  const std::size_t slot_count = partition.segments + window;
  std::byte* const slots = at_least(scratch, slot_count * slot_bytes);
  const auto* const own = static_cast<const std::byte*>(send);
  std::vector<Request> receives(all), sends(all);

  const auto slot = [&](std::size_t message) { return slots + (message % slot_count) * slot_bytes; };
  const auto post = [&](std::size_t message) {
    if (message >= slot_count) channel.wait(sends[message - window]);
    receives[message] = ring.receive(message, slot(message));
  };
  for (std::size_t m = 0; m < window && m < all; ++m) post(m);
  for (std::size_t m = 0; m < partition.segments && m < all; ++m)
    sends[m] = ring.send(m, own + ring.offset(ring.leaving(m)));
  for (std::size_t m = 0; m < all; ++m) {
    channel.wait(receives[m]);
    const Range range = ring.arriving(m);
    const std::size_t next = m + partition.segments;
    const bool last = next >= all;  // of this rank's own chunk
    auto* const sum =
        last ? static_cast<std::byte*>(receive) + ring.offset(range) - ring.offset(partition.chunk(channel.index()))
             : slot(m);
    reducer.pair(sum, slot(m), own + ring.offset(range), range.count);
    if (!last) sends[next] = ring.send(next, sum);
    if (m + window < all) post(m + window);
  }
  channel.wait_all(sends);
}

}  // namespace exec
