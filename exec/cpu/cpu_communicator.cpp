#include "exec/cpu/cpu_communicator.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "exec/cpu/binomial_broadcast.h"
#include "exec/cpu/ordered_all_reduce.h"
#include "exec/cpu/pairwise_all_to_all.h"
#include "exec/cpu/ring_all_gather.h"
#include "exec/cpu/ring_all_reduce.h"
#include "exec/cpu/tree_all_reduce.h"

namespace exec {
namespace {

int index_of(int rank, const RankGroup& group) {
  const auto place = std::ranges::find(group.ranks, rank);
  if (place == group.ranks.end())
    throw std::invalid_argument("rank " + std::to_string(rank) + " is not in group " + group.name);
  return static_cast<int>(place - group.ranks.begin());
}

std::size_t bytes_of(std::int64_t count, hw::DType dtype) {
  return static_cast<std::size_t>(count) * element_bytes(dtype);
}

void copy(void* to, const void* from, std::size_t bytes) {
  if (to != from && bytes > 0) std::memcpy(to, from, bytes);
}

}  // namespace

CpuCommunicator::CpuCommunicator(Transport& transport, RankGroup group, const CollectiveAlgorithms& algorithms)
    : transport_(transport),
      group_(std::move(group)),
      algorithms_(algorithms),
      index_(index_of(transport.rank(), group_)),
      calls_(transport, group_.ranks, index_, 2 * group_.id, algorithms.time_limit),
      data_(transport, group_.ranks, index_, 2 * group_.id + 1, algorithms.time_limit) {}

CollectiveCall CpuCommunicator::call(CollectiveKind kind, std::int64_t count, hw::DType dtype) const {
  return {.group = group_.id,
          .count = count,
          .rank = transport_.rank(),
          .dtype = static_cast<std::int32_t>(dtype),
          .kind = kind};
}

void CpuCommunicator::guarded(const CollectiveCall& call, const std::function<void()>& messages) {
  try {
    messages();
  } catch (const JobFailed&) {
    throw;
  } catch (const CollectiveMismatch& error) {
    transport_.fail(error.what());
    throw;
  } catch (const TransportError& error) {
    const std::string text = std::string(error.what()) + " in " + describe(call, group_.name);
    transport_.fail(text);
    throw TransportError(text);
  }
}

void CpuCommunicator::collective(CollectiveCall call, const std::function<void()>& messages) {
  call.number = ++collectives_;
  guarded(call, [&] {
    if (size() > 1) agree(call, call, calls_.neighbour(1), calls_.neighbour(-1));
    messages();
  });
}

/// A mismatch is thrown before waiting for the peer to take this rank's call: it may never do so.
void CpuCommunicator::agree(const CollectiveCall& own, const CollectiveCall& expected, int to, int from) const {
  CollectiveCall peer;
  const Request hearing = calls_.irecv(from, &peer, sizeof peer), telling = calls_.isend(to, &own, sizeof own);
  calls_.wait(hearing);
  check_match(expected, peer, group_.name);
  calls_.wait(telling);
}

void CpuCommunicator::all_reduce(const void* send, void* receive, std::int64_t count, hw::DType dtype,
                                 Reduction reduction) {
  const Reducer reducer{dtype, reduction};
  const auto elements = static_cast<std::size_t>(count);
  const std::size_t bytes = bytes_of(count, dtype), segment = algorithms_.segment_bytes;
  const bool small = bytes < algorithms_.small_payload_bytes;
  CollectiveCall its = call(CollectiveKind::all_reduce, count, dtype);
  its.reduction = reduction;
  its.deterministic = algorithms_.deterministic;
  collective(its, [&] {
    if (size() == 1 || count == 0) {
      copy(receive, send, bytes);
    } else if (algorithms_.deterministic && small) {
      gathered_all_reduce(data_, scratch_, send, receive, elements, reducer);
    } else if (algorithms_.deterministic) {
      ordered_all_reduce(data_, scratch_, send, receive, elements, reducer, segment);
    } else if (small) {
      tree_all_reduce(data_, scratch_, send, receive, elements, reducer);
    } else {
      ring_all_reduce(data_, scratch_, send, receive, elements, reducer, segment);
    }
  });
}

void CpuCommunicator::all_gather(const void* send, void* receive, std::int64_t count, hw::DType dtype) {
  const std::size_t bytes = bytes_of(count, dtype);
  collective(call(CollectiveKind::all_gather, count, dtype), [&] { ring_all_gather(data_, send, receive, bytes); });
}

void CpuCommunicator::reduce_scatter(const void* send, void* receive, std::int64_t count, hw::DType dtype,
                                     Reduction reduction) {
  const Reducer reducer{dtype, reduction};
  const auto elements = static_cast<std::size_t>(count);
  const std::size_t bytes = bytes_of(count, dtype);
  CollectiveCall its = call(CollectiveKind::reduce_scatter, count, dtype);
  its.reduction = reduction;
  its.deterministic = algorithms_.deterministic;
  collective(its, [&] {
    if (size() == 1 || count == 0) {
      copy(receive, send, bytes);
    } else {
      const auto algorithm = algorithms_.deterministic ? ordered_reduce_scatter : ring_reduce_scatter;
      algorithm(data_, scratch_, send, receive, elements, reducer, algorithms_.segment_bytes);
    }
  });
}

void CpuCommunicator::all_to_all(const void* send, void* receive, std::int64_t count, hw::DType dtype) {
  const std::vector<std::int64_t> counts(group_.ranks.size(), count);
  all_to_all(send, counts, receive, counts, dtype);
}

void CpuCommunicator::all_to_all(const void* send, std::span<const std::int64_t> send_counts, void* receive,
                                 std::span<const std::int64_t> receive_counts, hw::DType dtype) {
  if (send_counts.size() != group_.ranks.size() || receive_counts.size() != group_.ranks.size())
    throw std::invalid_argument("all_to_all needs a count for each rank of group " + group_.name);
  CollectiveCall its = call(CollectiveKind::all_to_all, 0, dtype), expected = its;
  its.number = expected.number = ++collectives_;
  const auto to_bytes = [&](std::span<const std::int64_t> counts) {
    std::vector<std::size_t> bytes;
    for (const std::int64_t count : counts) bytes.push_back(bytes_of(count, dtype));
    return bytes;
  };
  guarded(its, [&] {
    // Counts are a pair's, so all pairs agree, not only neighbours.
    for (int distance = 0; distance < size(); ++distance) {
      const int to = calls_.neighbour(distance), from = calls_.neighbour(-distance);
      its.count = send_counts[static_cast<std::size_t>(to)];
      expected.count = receive_counts[static_cast<std::size_t>(from)];
      agree(its, expected, to, from);
    }
    pairwise_all_to_all(data_, send, to_bytes(send_counts), receive, to_bytes(receive_counts));
  });
}

void CpuCommunicator::broadcast(void* data, std::int64_t count, hw::DType dtype, int root) {
  CollectiveCall its = call(CollectiveKind::broadcast, count, dtype);
  its.root = root;
  collective(its, [&] { binomial_broadcast(data_, data, bytes_of(count, dtype), root); });
}

void CpuCommunicator::send(const void* data, std::int64_t count, hw::DType dtype, int to) {
  CollectiveCall its = call(CollectiveKind::send_recv, count, dtype);
  its.number = ++sent_[to];
  guarded(its, [&] {
    const Request told = calls_.isend(to, &its, sizeof its);
    const Request sent = data_.isend(to, data, bytes_of(count, dtype));
    calls_.wait(told);
    data_.wait(sent);
  });
}

void CpuCommunicator::recv(void* data, std::int64_t count, hw::DType dtype, int from) {
  CollectiveCall its = call(CollectiveKind::send_recv, count, dtype), peer;
  its.number = ++received_[from];
  guarded(its, [&] {
    calls_.wait(calls_.irecv(from, &peer, sizeof peer));
    check_match(its, peer, group_.name);
    data_.wait(data_.irecv(from, data, bytes_of(count, dtype)));
  });
}

void CpuCommunicator::send_recv(const void* send, int to, void* receive, int from, std::int64_t count,
                                hw::DType dtype) {
  CollectiveCall its = call(CollectiveKind::send_recv, count, dtype), expected = its;
  its.number = ++sent_[to];
  expected.number = ++received_[from];
  guarded(its, [&] {
    agree(its, expected, to, from);
    data_.exchange(to, send, bytes_of(count, dtype), from, receive, bytes_of(count, dtype));
  });
}

void CpuCommunicator::barrier() {
  collective(call(CollectiveKind::barrier, 0, hw::DType::int32), [&] {
    for (int distance = 1; distance < size(); distance *= 2)  // dissemination: all are heard of after log2(n) rounds
      data_.exchange(data_.neighbour(distance), nullptr, 0, data_.neighbour(-distance), nullptr, 0);
  });
}

}  // namespace exec
