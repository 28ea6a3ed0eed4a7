#pragma once

#include <vector>

#include "models/layout.h"
#include "models/schedule.h"

/// The orders behind rank_schedule, one file per concept. Nothing outside models/ needs this header.
namespace models {

using TaskOrder = std::vector<PipelineTask>;

/// Narayanan et al., SC 21, figure 3: pp - stage - 1 forwards (one more if `merged`), then one forward, one backward.
TaskOrder one_f_one_b(const Layout& layout, int stage, int microbatches, bool merged);

/// Narayanan et al., SC 21, figure 4, as Megatron-LM orders it: (pp - stage - 1) * 2 + (vp - 1) * group forwards (one
/// more if `merged`), then one forward, one backward. See interleaved_1f1b.cpp for the groups.
TaskOrder interleaved_1f1b(const Layout& layout, int stage, int microbatches, bool merged);

/// Huang et al., 2019: all forwards, then all backwards, chunk after chunk (breadth first for vp > 1).
TaskOrder gpipe(const Layout& layout, int stage, int microbatches);

/// Microbatches per group of the interleaved order, for each group. All are >= pp unless there are fewer microbatches.
std::vector<int> interleaved_groups(int pp, int microbatches);

/// Forward, input_grad and weight_grad of all ranks, laid out together in the order of time by list scheduling
/// (zero_bubble_layer.h). Tries a few rules on a short pipeline and keeps the one whose ranks idle least between their
/// first and last tasks, as arXiv 2401.10241, section 4, does; more microbatches repeat its steady state.
///   in_flight  chunk forwards of a rank whose weight gradient is not done yet, at most
std::vector<TaskOrder> zero_bubble(const Layout& layout, int microbatches, const PhaseTimes& times, int in_flight);

}  // namespace models
