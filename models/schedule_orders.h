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

/// What the zero-bubble heuristic may do.
struct ZeroBubbleRules {
  int in_flight = 1;           ///< chunk forwards of a rank whose weight gradient is not done yet, at most
  bool taper = false;          ///< also at most in_flight - stage forwards without an input gradient, as 1F1B has
  bool forward_first = false;  ///< of a forward and an input gradient that are both there
};

/// Greedy layout of forward, input_grad and weight_grad over all ranks: see zero_bubble.cpp. Tries a few rules on a
/// short pipeline, as the heuristic of arXiv 2401.10241, section 4, does, and keeps the one with the shortest makespan.
std::vector<TaskOrder> zero_bubble(const Layout& layout, int microbatches, const PhaseTimes& times, int in_flight);

}  // namespace models
