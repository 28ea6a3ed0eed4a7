#include <cstddef>
#include <cstdint>

#include "models/layout.h"
#include "models/schedule.h"
#include "models/schedule_orders.h"

namespace models {

TaskOrder gpipe(const Layout& layout, int stage, int microbatches) {
  TaskOrder order;
  order.reserve(2 * static_cast<std::size_t>(layout.vp) * static_cast<std::size_t>(microbatches));
  const auto all = [&](Phase phase, int turn) {
    const auto chunk = static_cast<std::int16_t>(turn * layout.pp + stage);
    for (int i = 0; i < microbatches; ++i) order.push_back({phase, chunk, i});
  };
  for (int turn = 0; turn < layout.vp; ++turn) all(Phase::forward, turn);
  for (int turn = layout.vp - 1; turn >= 0; --turn) all(Phase::backward, turn);
  return order;
}

}  // namespace models
