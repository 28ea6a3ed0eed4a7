#pragma once

#include <array>
#include <memory>
#include <string>

#include "hw/dtype.h"
#include "hw/node.h"
#include "hw/units.h"

namespace hw {

/// Datasheet facts of one accelerator. Dense rates, no sparsity.
struct Gpu {
  std::string name;
  std::string architecture;  ///< compute capability, such as `sm_90`
  int sm_count = 0;
  Bytes memory;
  BytesPerSecond memory_bandwidth;
  std::array<FlopsPerSecond, kDTypes> peak{};  ///< indexed by DType; 0 where the GPU has no such path
  BytesPerSecond host_link;                    ///< to the CPU, one direction
  double tdp_watts = 0;                        ///< 0 where it is not stated
};

/// A machine as its datasheet states it; what it really achieves is in `Efficiency`.
struct Cluster {
  std::string name;
  Gpu gpu;
  int gpus_per_node = 0;
  int nvlink_domain = 0;        ///< GPUs that reach each other over NVLink
  BytesPerSecond nvlink;        ///< per GPU, one direction
  BytesPerSecond nic;           ///< per GPU, one direction
  int rails = 0;                ///< NICs a node has, one a rail
  double oversubscription = 1;  ///< of the fabric beyond the rail's leaf switch
  bool grace = false;           ///< Arm host over NVLink-C2C (host cost per op differs from x86)
  /// The machine whose name this one bears with other rates; none where the name is its own (docs/machines.md).
  std::shared_ptr<const Cluster> variant_of = nullptr;
};

/// The rate that the datasheet gives a format, or the widest tensor-core path below it where the GPU has none.
FlopsPerSecond peak_of(const Gpu& gpu, DType type);

/// Reads a machine description (docs/machines.md). Throws InputError naming file, JSON pointer and rule.
Cluster parse_cluster(const Node& node);

}  // namespace hw
