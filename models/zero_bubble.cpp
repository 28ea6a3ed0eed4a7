#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "models/layout.h"
#include "models/schedule.h"
#include "models/schedule_orders.h"
#include "models/zero_bubble_layer.h"

namespace models {
namespace {

// The V needs due times to keep its two passes in step; one pass goes well by whatever finishes a microbatch first.
constexpr std::array<ZeroBubbleRule, 4> kThereAndBack = {{
    {.stretch = 1, .patience = 1, .capped = true},
    {.stretch = 1, .patience = 0.75, .capped = true},
    {.stretch = 1.1, .patience = 0.75, .capped = true},
    {.stretch = 1.1, .patience = 0.5, .capped = true},
}};
constexpr std::array<ZeroBubbleRule, 6> kOneWay = {{
    {.stretch = 0, .patience = 1, .capped = true},
    {.stretch = 0, .patience = 0.75, .capped = true},
    {.stretch = 0, .patience = 0.5, .capped = false},
    {.stretch = 0, .patience = 0, .capped = true},
    {.stretch = 0, .patience = 0, .capped = false},
    {.stretch = 1, .patience = 1, .capped = true},
}};

// Layouts by these were seen to repeat for all times, at little loss.
constexpr ZeroBubbleRule kSteadyThereAndBack = kThereAndBack[2], kSteadyOneWay = kOneWay[0];

/// Microbatches that show warm-up, steady state and cool-down.
int enough_microbatches(const Layout& layout) { return (layout.vp > 1 ? 3 : 4) * layout.pp; }

/// The rule that leaves least idle time, on a pipeline of eight stages if there are more: it ranks them nearly as well.
ZeroBubbleRule best_rule(Layout layout, int microbatches, const PhaseTimes& times, int in_flight) {
  const int per_stage = in_flight / layout.pp;
  layout.pp = std::min(layout.pp, 8);
  const int trial = std::min(microbatches, enough_microbatches(layout));
  ZeroBubbleRule best;
  double least_idle = std::numeric_limits<double>::infinity();
  const auto try_all = [&](const auto& rules) {
    for (const ZeroBubbleRule& rule : rules) {
      ZeroBubbleLayer layer(layout, trial, times, per_stage * layout.pp, rule);
      if (!layer.run(least_idle)) continue;
      least_idle = layer.idle();
      best = rule;
    }
  };
  if (layout.vp > 1) try_all(kThereAndBack);
  else try_all(kOneWay);
  return best;
}

}  // namespace

std::vector<TaskOrder> zero_bubble(const Layout& layout, int microbatches, const PhaseTimes& times, int in_flight) {
  const ZeroBubbleRule best = best_rule(layout, microbatches, times, in_flight);
  const auto lay_out = [&](int count, const ZeroBubbleRule& rule) {
    ZeroBubbleLayer layer(layout, count, times, in_flight, rule);
    layer.run(std::numeric_limits<double>::infinity());
    return layer;
  };
  const int more = (microbatches - enough_microbatches(layout)) / 4 * 4;  // steady states repeat after one, two or four
  if (more < 4) return lay_out(microbatches, best).take_orders();
  for (const ZeroBubbleRule& rule : {best, layout.vp > 1 ? kSteadyThereAndBack : kSteadyOneWay}) {
    std::vector<TaskOrder> orders = lay_out(microbatches - more, rule).longer_orders(more);
    if (!orders.empty()) return orders;
  }
  return lay_out(microbatches, best).take_orders();
}

}  // namespace models
