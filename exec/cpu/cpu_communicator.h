#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "exec/communicator.h"
#include "exec/cpu/collective_call.h"
#include "exec/cpu/group_channel.h"
#include "exec/cpu/reduce.h"
#include "exec/transport.h"
#include "hw/dtype.h"

namespace exec {

/// How collectives go. All ranks of a group say the same.
struct CollectiveAlgorithms {
  /// All-reduces of a smaller payload take few rounds (tree, gathered), others move few bytes (ring, ordered).
  std::size_t small_payload_bytes = 16 * 1024;
  /// Sums overlap with copies by pieces of this size.
  std::size_t segment_bytes = 256 * 1024;
  /// Sums in the order of the ranks at every place: the same bits on all ranks, whatever the payload and the segments.
  bool deterministic = true;
  /// For a peer to make its part of a call.
  std::chrono::nanoseconds time_limit = std::chrono::minutes(10);
};

/// The ranks that call collectives together.
struct RankGroup {
  int id = 0;              ///< the same on all ranks, unique in the job
  std::string name;        ///< for errors, such as `tp`
  std::vector<int> ranks;  ///< global; a rank's index in the group is its place here
};

/// A group over a transport: named algorithms over point-to-point messages. Before its data, each call tells the next
/// rank of the group what it is: calls that differ end with CollectiveMismatch on all ranks instead of a hang.
class CpuCommunicator final : public Communicator {
 public:
  /// The transport, whose rank is in the group, must live longer. Throws std::invalid_argument where it is not.
  CpuCommunicator(Transport& transport, RankGroup group, const CollectiveAlgorithms& algorithms = {});

  int rank() const override { return index_; }
  int size() const override { return static_cast<int>(group_.ranks.size()); }

  void all_reduce(const void* send, void* receive, std::int64_t count, hw::DType dtype,
                  Reduction reduction = Reduction::sum) override;
  void all_gather(const void* send, void* receive, std::int64_t count, hw::DType dtype) override;
  void reduce_scatter(const void* send, void* receive, std::int64_t count, hw::DType dtype,
                      Reduction reduction = Reduction::sum) override;
  void all_to_all(const void* send, void* receive, std::int64_t count, hw::DType dtype) override;
  void all_to_all(const void* send, std::span<const std::int64_t> send_counts, void* receive,
                  std::span<const std::int64_t> receive_counts, hw::DType dtype) override;
  void broadcast(void* data, std::int64_t count, hw::DType dtype, int root) override;
  void send(const void* data, std::int64_t count, hw::DType dtype, int to) override;
  void recv(void* data, std::int64_t count, hw::DType dtype, int from) override;
  void send_recv(const void* send, int to, void* receive, int from, std::int64_t count, hw::DType dtype) override;
  void barrier() override;

 private:
  CollectiveCall call(CollectiveKind kind, std::int64_t count, hw::DType dtype) const;
  /// Runs a call's messages; adds the call to the text of what goes wrong and tells all ranks.
  void guarded(const CollectiveCall& call, const std::function<void()>& messages);
  /// Numbers the call, tells the next rank of the group and hears from the one before what it is, then the same.
  void collective(CollectiveCall call, const std::function<void()>& messages);
  /// Tells `to` this rank's call and throws CollectiveMismatch where that of `from` is not the expected one.
  void agree(const CollectiveCall& own, const CollectiveCall& expected, int to, int from) const;

  Transport& transport_;
  RankGroup group_;
  CollectiveAlgorithms algorithms_;
  int index_;
  GroupChannel calls_, data_;
  Scratch scratch_;
  std::int64_t collectives_ = 0;
  std::map<int, std::int64_t> sent_, received_;  ///< messages of send, recv and send_recv with each rank
};

}  // namespace exec
