#pragma once

#include <cstdint>
#include <string>

#include "exec/communicator.h"
#include "exec/transport.h"
#include "hw/dtype.h"

namespace exec {

enum class CollectiveKind : std::uint8_t {
  all_reduce,
  all_gather,
  reduce_scatter,
  all_to_all,
  broadcast,
  send_recv,
  barrier
};

/// What ranks tell each other of a call before its data, as bytes of one message.
struct CollectiveCall {
  std::int64_t group = 0;
  std::int64_t number = 0;  ///< of the group's collectives; for send_recv of the messages of a pair
  std::int64_t count = 0;   ///< elements; for all_to_all those of a pair
  std::int32_t rank = 0;    ///< global, of the caller
  std::int32_t root = -1;   ///< index in the group, of a broadcast
  std::int32_t dtype = 0;   ///< an hw::DType; int32 so that the struct has no padding
  CollectiveKind kind = CollectiveKind::barrier;
  Reduction reduction = Reduction::sum;
  std::uint16_t deterministic = 0;

  bool reduces() const { return kind == CollectiveKind::all_reduce || kind == CollectiveKind::reduce_scatter; }
};

/// Two ranks make different calls where the same one was due. what() describes both; all ranks get it.
struct CollectiveMismatch : TransportError {
  using TransportError::TransportError;
};

/// `all_reduce (sum) of 1024 fp32 as call 17 of group tp`
std::string describe(const CollectiveCall& call, const std::string& group_name);

/// Throws CollectiveMismatch where the calls of two ranks do not fit together.
void check_match(const CollectiveCall& own, const CollectiveCall& peer, const std::string& group_name);

}  // namespace exec
