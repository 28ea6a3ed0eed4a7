#pragma once

#include <cstdint>
#include <vector>

#include "models/layout.h"

namespace models {

/// One unit of pipeline work. `backward` computes input and weight gradients; the zero-bubble schedules split it into
/// `input_grad` (B of arXiv 2401.10241) and `weight_grad` (W).
enum class Phase : std::uint8_t { forward, backward, input_grad, weight_grad };

struct PipelineTask {
  Phase phase = Phase::forward;
  std::int16_t chunk = 0;  ///< virtual stage in model order, 0 .. pp*vp-1
  std::int32_t microbatch = 0;
  bool operator==(const PipelineTask&) const = default;
};

/// Relative durations that the zero-bubble schedules are laid out with (a profile in the paper; here the predicted
/// ones). Only their ratios matter.
struct PhaseTimes {
  double forward = 1, input_grad = 1, weight_grad = 1, send = 0;
};

/// True for the zero-bubble schedules, which run input and weight gradients apart.
bool splits_backward(Schedule schedule);

/// The order in which pipeline rank `stage` runs its tasks for one flush of `microbatches`.
/// Every chunk of the rank has each microbatch's forward and backward exactly once; the order is free of deadlock.
///   1f1b         Narayanan et al., SC 21, figure 3
///   interleaved  the same, figure 4; microbatches in groups of pp, a rest is spread over the groups (as PyTorch does:
///                Megatron-LM refuses a rest, because a smaller last group can deadlock)
///   gpipe        Huang et al., 2019
///   zb-1p, zb-2p, zb-v  Qi et al., ICLR 24, arXiv 2401.10241 and 2405.15362
///   merged  1f1b and interleaved only: one warm-up forward more, so that each steady forward can run together with the
///           backward after it (they are then of different microbatches; Megatron-LM's expert all-to-all overlap)
/// Throws std::invalid_argument without microbatches, or if vp is not 1 (zb-1p, zb-2p) or 2 (zb-v).
std::vector<PipelineTask> rank_schedule(const Layout& layout, int stage, int microbatches, const PhaseTimes& times = {},
                                        bool merged = false);

/// rank_schedule of all stages, made together (the zero-bubble schedules are laid out globally).
std::vector<std::vector<PipelineTask>> pipeline_schedule(const Layout& layout, int microbatches,
                                                         const PhaseTimes& times = {}, bool merged = false);

}  // namespace models
