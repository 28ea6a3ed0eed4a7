#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "hw/units.h"
#include "models/step_program.h"
#include "sim/prediction.h"

namespace sim {

/// What the time of a step is spent on. Compute parts first, in the order of models::Work.
enum class Part : std::uint8_t {
  gemm,
  grouped_gemm,
  attention,
  scan,
  norm,
  activation,
  rope,
  permute,
  loss,
  cast,
  pointwise,
  slowdown,  ///< compute beside transfers
  exposed_tp,
  exposed_ep,
  exposed_cp,
  exposed_fsdp,
  exposed_dp,
  exposed_p2p,
  exposed_copy,
  host,
  bubble,
  optimizer,
  step_constant,
  straggler
};
inline constexpr int kParts = 24;

/// `norm`: norms and residual adds; `activation`: with biases; `permute`: with routing; `loss`: with the embedding;
/// `pointwise`: the rest.
const char* name(Part part);

/// Seconds by part.
struct Parts {
  std::array<double, kParts> seconds{};

  double& operator[](Part part) { return seconds[static_cast<std::size_t>(part)]; }
  double operator[](Part part) const { return seconds[static_cast<std::size_t>(part)]; }
  void add(const Parts& other, double times = 1) {
    for (std::size_t i = 0; i < seconds.size(); ++i) seconds[i] += times * other.seconds[i];
  }
  double total() const {
    double sum = 0;
    for (const double value : seconds) sum += value;
    return sum;
  }
};

/// Where the time of an op counts while it runs on compute.
Part compute_part(const models::Op& op);

/// Where it counts that only transfers of `stream` ran. `sharded`: parameters are sharded, so that dp_comm is FSDP's.
Part exposed_part(models::Stream stream, bool sharded);

/// Parts that are not 0, in the order of Part.
std::vector<BreakdownItem> breakdown_items(const Parts& parts);

}  // namespace sim
