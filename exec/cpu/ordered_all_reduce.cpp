#include "exec/cpu/ordered_all_reduce.h"

#include <algorithm>
#include <vector>

#include "exec/cpu/partition.h"

namespace exec {
namespace {

/// Segments received ahead of the one being summed.
constexpr std::size_t kWindow = 8;

/// One rank's exchange with all others: in each of the first `segments` rounds it gets a segment of its own chunk from
/// each of them; in each of as many further rounds, for an all-reduce, the sum of a segment of theirs.
class Exchange {
 public:
  Exchange(const GroupChannel& channel, Scratch& scratch, const Partition& partition, const Reducer& reducer)
      : channel_(channel),
        partition_(partition),
        reducer_(reducer),
        window_(std::min(kWindow, partition.segments)),
        slot_bytes_(partition.largest_segment() * reducer.bytes()),
        slots_(at_least(scratch, window_ * partition.ranks * slot_bytes_)),
        receives_(2 * partition.segments * partition.ranks),
        sends_(receives_.size()),
        sources_(partition.ranks) {}

  std::size_t window() const { return window_; }

  /// Asks all others for their share of a segment of this rank's chunk.
  void post_shares(std::size_t segment) {
    const std::size_t bytes = own_segment(segment).count * reducer_.bytes();
    for (int distance = 1; bytes > 0 && distance < channel_.size(); ++distance) {
      const int from = channel_.neighbour(-distance);
      receives_[request(segment, from)] = channel_.irecv(from, slot(segment, from), bytes);
    }
  }

  void send_shares(const std::byte* own) {
    for (std::size_t segment = 0; segment < partition_.segments; ++segment) {
      for (int distance = 1; distance < channel_.size(); ++distance) {
        const int to = channel_.neighbour(distance);
        const Range range = partition_.segment(to, segment);
        if (range.count > 0)
          sends_[request(segment, to)] =
              channel_.isend(to, own + range.begin * reducer_.bytes(), range.count * reducer_.bytes());
      }
    }
  }

  void sum(std::size_t segment, const std::byte* own, std::byte* out) {
    wait(segment);
    const Range range = own_segment(segment);
    for (int rank = 0; rank < channel_.size(); ++rank) sources_[static_cast<std::size_t>(rank)] = slot(segment, rank);
    sources_[static_cast<std::size_t>(channel_.index())] = own + range.begin * reducer_.bytes();
    reducer_.ordered(out, sources_, range.count);
  }

  /// Asks all others for the sum of a segment of their chunks, over what this rank sent them from there.
  void post_sums(std::size_t segment, std::byte* out) {
    for (int distance = 1; distance < channel_.size(); ++distance) {
      const int from = channel_.neighbour(-distance);
      const Range range = partition_.segment(from, segment);
      if (range.count == 0) continue;
      channel_.wait(sends_[request(segment, from)]);
      receives_[request(partition_.segments + segment, from)] =
          channel_.irecv(from, out + range.begin * reducer_.bytes(), range.count * reducer_.bytes());
    }
  }

  void send_sum(std::size_t segment, const std::byte* sum) {
    const std::size_t bytes = own_segment(segment).count * reducer_.bytes();
    for (int distance = 1; bytes > 0 && distance < channel_.size(); ++distance) {
      const int to = channel_.neighbour(distance);
      sends_[request(partition_.segments + segment, to)] = channel_.isend(to, sum, bytes);
    }
  }

  Range own_segment(std::size_t segment) const { return partition_.segment(channel_.index(), segment); }

  void wait(std::size_t round) {
    channel_.wait_all(std::span(receives_).subspan(round * partition_.ranks, partition_.ranks));
  }
  void wait_all() {
    channel_.wait_all(receives_);
    channel_.wait_all(sends_);
  }

 private:
  std::byte* slot(std::size_t segment, int rank) const {
    return slots_ + ((segment % window_) * partition_.ranks + static_cast<std::size_t>(rank)) * slot_bytes_;
  }
  std::size_t request(std::size_t round, int rank) const {
    return round * partition_.ranks + static_cast<std::size_t>(rank);
  }

  const GroupChannel& channel_;
  const Partition& partition_;
  const Reducer& reducer_;
  std::size_t window_, slot_bytes_;
  std::byte* slots_;
  std::vector<Request> receives_, sends_;  ///< [round, rank], null for this rank itself and for empty segments
  std::vector<const void*> sources_;
};

}  // namespace

void ordered_all_reduce(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive,
                        std::size_t count, const Reducer& reducer, std::size_t segment_bytes) {
  const Partition partition(count, channel.size(), segment_bytes / reducer.bytes());
  const std::size_t segments = partition.segments;
  Exchange exchange(channel, scratch, partition, reducer);
  const auto* const own = static_cast<const std::byte*>(send);
  auto* const out = static_cast<std::byte*>(receive);
  const auto post = [&](std::size_t round) {
    if (round < segments) {
      exchange.post_shares(round);
    } else if (round < 2 * segments) {
      exchange.post_sums(round - segments, out);
    }
  };
  for (std::size_t round = 0; round < exchange.window(); ++round) post(round);
  exchange.send_shares(own);
  for (std::size_t segment = 0; segment < segments; ++segment) {
    std::byte* const sum = out + exchange.own_segment(segment).begin * reducer.bytes();
    exchange.sum(segment, own, sum);
    exchange.send_sum(segment, sum);
    post(segment + exchange.window());
  }
  for (std::size_t round = segments + exchange.window(); round < 2 * segments; ++round) post(round);
  exchange.wait_all();
}

void ordered_reduce_scatter(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive,
                            std::size_t count, const Reducer& reducer, std::size_t segment_bytes) {
  const auto ranks = static_cast<std::size_t>(channel.size());
  const Partition partition(count * ranks, channel.size(), segment_bytes / reducer.bytes());
  Exchange exchange(channel, scratch, partition, reducer);
  const auto* const own = static_cast<const std::byte*>(send);
  auto* const out = static_cast<std::byte*>(receive);
  const std::size_t first = partition.chunk(channel.index()).begin;
  for (std::size_t segment = 0; segment < exchange.window(); ++segment) exchange.post_shares(segment);
  exchange.send_shares(own);
  for (std::size_t segment = 0; segment < partition.segments; ++segment) {
    exchange.sum(segment, own, out + (exchange.own_segment(segment).begin - first) * reducer.bytes());
    if (segment + exchange.window() < partition.segments) exchange.post_shares(segment + exchange.window());
  }
  exchange.wait_all();
}

void gathered_all_reduce(const GroupChannel& channel, Scratch& scratch, const void* send, void* receive,
                         std::size_t count, const Reducer& reducer) {
  const std::size_t bytes = count * reducer.bytes();
  const auto ranks = static_cast<std::size_t>(channel.size());
  std::byte* const rows = at_least(scratch, ranks * bytes);
  std::vector<const void*> sources(ranks, send);
  std::vector<Request> requests;
  for (int distance = 1; distance < channel.size(); ++distance) {
    const int from = channel.neighbour(-distance), to = channel.neighbour(distance);
    std::byte* const row = rows + static_cast<std::size_t>(from) * bytes;
    sources[static_cast<std::size_t>(from)] = row;
    requests.push_back(channel.irecv(from, row, bytes));
    requests.push_back(channel.isend(to, send, bytes));
  }
  channel.wait_all(requests);
  reducer.ordered(receive, sources, count);
}

}  // namespace exec
