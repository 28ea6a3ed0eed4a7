#include "models/schedule.h"

#include <cassert>
#include <stdexcept>
#include <utility>
#include <vector>

#include "models/layout.h"
#include "models/schedule_orders.h"

namespace models {
namespace {

void check(const Layout& layout, int microbatches) {
  if (microbatches < 1) throw std::invalid_argument("a pipeline needs at least one microbatch");
  const int needed = layout.schedule == Schedule::zb_v ? 2 : 1;
  if (splits_backward(layout.schedule) && layout.vp != needed)
    throw std::invalid_argument(needed == 2 ? "zb-v needs vp 2" : "zb-1p and zb-2p need vp 1");
}

/// Chunk forwards that a rank may hold: as many as 1F1B's first rank, or twice that. ZB-V's chunks are half as large.
int in_flight_limit(const Layout& layout) { return layout.schedule == Schedule::zb_1p ? layout.pp : 2 * layout.pp; }

TaskOrder local_order(const Layout& layout, int stage, int microbatches, bool merged) {
  if (layout.schedule == Schedule::gpipe) return gpipe(layout, stage, microbatches);
  if (layout.vp > 1) return interleaved_1f1b(layout, stage, microbatches, merged);
  return one_f_one_b(layout, stage, microbatches, merged);
}

}  // namespace

bool splits_backward(Schedule schedule) {
  return schedule == Schedule::zb_1p || schedule == Schedule::zb_2p || schedule == Schedule::zb_v;
}

std::vector<PipelineTask> rank_schedule(const Layout& layout, int stage, int microbatches, const PhaseTimes& times,
                                        bool merged) {
  assert(stage >= 0 && stage < layout.pp);
  check(layout, microbatches);
  if (!splits_backward(layout.schedule)) return local_order(layout, stage, microbatches, merged);
  return std::move(zero_bubble(layout, microbatches, times, in_flight_limit(layout))[static_cast<std::size_t>(stage)]);
}

std::vector<std::vector<PipelineTask>> pipeline_schedule(const Layout& layout, int microbatches,
                                                         const PhaseTimes& times, bool merged) {
  check(layout, microbatches);
  if (splits_backward(layout.schedule)) return zero_bubble(layout, microbatches, times, in_flight_limit(layout));
  std::vector<TaskOrder> orders;
  orders.reserve(static_cast<std::size_t>(layout.pp));
  for (int stage = 0; stage < layout.pp; ++stage) orders.push_back(local_order(layout, stage, microbatches, merged));
  return orders;
}

}  // namespace models
