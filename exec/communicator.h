#pragma once

#include <cstdint>
#include <span>

#include "hw/dtype.h"

namespace exec {

enum class Reduction : std::uint8_t { sum, max };

/// Collectives of one group of ranks, in NCCL's terms. Ranks, roots and peers are indices in the group; counts are
/// elements of fp64, fp32, bf16, int32 or int64. Every rank of the group makes the same calls in the same order, from
/// one thread at a time; a call returns when this rank's part is done and its memory may be used again.
///
/// A failure (TransportError of exec/transport.h) ends the job: no later call of any rank succeeds.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// Both [count]; in place where they are the same memory.
  virtual void all_reduce(const void* send, void* receive, std::int64_t count, hw::DType dtype,
                          Reduction reduction = Reduction::sum) = 0;

  /// send [count], receive [size(), count]; in place where send is its own row of receive.
  virtual void all_gather(const void* send, void* receive, std::int64_t count, hw::DType dtype) = 0;

  /// send [size(), count], receive [count]; in place where receive is its own row of send.
  virtual void reduce_scatter(const void* send, void* receive, std::int64_t count, hw::DType dtype,
                              Reduction reduction = Reduction::sum) = 0;

  /// Both [size(), count], not in place: row j goes to rank j.
  virtual void all_to_all(const void* send, void* receive, std::int64_t count, hw::DType dtype) = 0;

  /// Counts of the row for and from each rank; rows lie one after the other. Not in place.
  virtual void all_to_all(const void* send, std::span<const std::int64_t> send_counts, void* receive,
                          std::span<const std::int64_t> receive_counts, hw::DType dtype) = 0;

  /// data [count] of `root` on all ranks.
  virtual void broadcast(void* data, std::int64_t count, hw::DType dtype, int root) = 0;

  /// Between two ranks. A send ends when `to` receives, so two ranks that both send first wait for ever: send_recv.
  virtual void send(const void* data, std::int64_t count, hw::DType dtype, int to) = 0;
  virtual void recv(void* data, std::int64_t count, hw::DType dtype, int from) = 0;

  /// Both at once: one step of a ring where to and from are the neighbours. Not in place.
  virtual void send_recv(const void* send, int to, void* receive, int from, std::int64_t count, hw::DType dtype) = 0;

  /// Returns when all ranks have called it.
  virtual void barrier() = 0;
};

}  // namespace exec
