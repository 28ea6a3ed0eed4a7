#pragma once

#include <cstdint>
#include <vector>

#include "models/schedule.h"
#include "models/step_program.h"

namespace exec {

/// The ops of one pass over a block, and which tensors nothing needs any more after each.
struct PassPlan {
  struct Step {
    std::int16_t op = 0;  ///< index in Block::forward or Block::backward
    std::vector<models::TensorId> release;
  };
  std::vector<Step> steps;

  /// Whether the pass uses the tensor up.
  bool needs(models::TensorId id) const;
};

/// Of a pass over `block`. Forward leaves kept tensors and the output; backward passes leave the input's gradient, and
/// `input_grad` what weight gradients read.
PassPlan plan_pass(const models::Block& block, models::Phase phase);

/// True for the copy into a tensor-parallel region whose source is not read again: it is the source.
bool moves(const models::Op& op, const PassPlan::Step& step);

}  // namespace exec
