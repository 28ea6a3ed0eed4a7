#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hw/efficiency.h"
#include "hw/units.h"
#include "sim/prediction.h"

namespace sim {

/// The resource that an op spends most of its time on.
enum class Bound : std::uint8_t { compute, hbm, nvlink, nic, host_link, host, latency };
inline constexpr int kBounds = 7;
const char* name(Bound bound);

/// One kind of op of one kind of block: forward, replay and backward together.
struct OpTime {
  std::string block;  ///< the block's label; `optimizer`, `pipeline` for what runs between and after
  std::string op;
  hw::Seconds time;  ///< of all its launches in a step on the busiest pipeline rank, each alone, hidden or not
  Bound bound = Bound::latency;
  bool computes = true;  ///< takes compute: then its time is part of the breakdown
};

/// Where the step's work is, in the order of the program. The resource is found by pricing each op on machines on which
/// one resource is slightly faster: what shortens it most bounds it, `latency` where overheads outweigh every resource,
/// `host` where issuing it takes longer than all that.
std::vector<OpTime> op_times(const LoweredRun& lowered, const hw::Efficiency& efficiency, Tier tier);

}  // namespace sim
