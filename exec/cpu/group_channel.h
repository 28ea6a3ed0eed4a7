#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include "exec/transport.h"

namespace exec {

/// Messages between the ranks of a group, named by their indices in it, under one tag. Each wait has the time limit.
class GroupChannel {
 public:
  /// `ranks` are the group's global ranks, `index` this one's place among them. They outlive the channel.
  GroupChannel(Transport& transport, std::span<const int> ranks, int index, int tag, std::chrono::nanoseconds limit)
      : transport_(transport), ranks_(ranks), index_(index), tag_(tag), limit_(limit) {}

  int size() const { return static_cast<int>(ranks_.size()); }
  int index() const { return index_; }
  /// The rank `distance` places further round the ring, which may be negative.
  int neighbour(int distance) const { return ((index_ + distance) % size() + size()) % size(); }

  Request isend(int to, const void* data, std::size_t bytes) const {
    return transport_.isend(ranks_[static_cast<std::size_t>(to)], tag_, data, bytes);
  }
  Request irecv(int from, void* data, std::size_t bytes) const {
    return transport_.irecv(ranks_[static_cast<std::size_t>(from)], tag_, data, bytes);
  }
  void wait(const Request& request) const {
    if (request) transport_.wait(request, std::chrono::steady_clock::now() + limit_);
  }
  void wait_all(std::span<const Request> requests) const {
    for (const Request& request : requests) wait(request);
  }
  /// Receives from one rank while it sends to another.
  void exchange(int to, const void* send, std::size_t send_bytes, int from, void* receive,
                std::size_t receive_bytes) const {
    const Request receiving = irecv(from, receive, receive_bytes), sending = isend(to, send, send_bytes);
    wait(receiving);
    wait(sending);
  }

 private:
  Transport& transport_;
  std::span<const int> ranks_;
  int index_;
  int tag_;
  std::chrono::nanoseconds limit_;
};

/// Memory for messages on their way into a sum. Kept between calls: fresh pages cost more than the sum itself.
using Scratch = std::vector<std::byte>;

/// At least `bytes` of it, contents unspecified.
inline std::byte* at_least(Scratch& scratch, std::size_t bytes) {
  if (scratch.size() < bytes) scratch.resize(bytes);
  return scratch.data();
}

}  // namespace exec
