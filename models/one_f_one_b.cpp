#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "models/layout.h"
#include "models/schedule.h"
#include "models/schedule_orders.h"

namespace models {

TaskOrder one_f_one_b(const Layout& layout, int stage, int microbatches, bool merged) {
  const auto chunk = static_cast<std::int16_t>(stage);
  const int warm_up = std::min(microbatches, layout.pp - stage - 1 + (merged ? 1 : 0));
  TaskOrder order;
  order.reserve(2 * static_cast<std::size_t>(microbatches));
  for (int i = 0; i < warm_up; ++i) order.push_back({Phase::forward, chunk, i});
  for (int i = warm_up; i < microbatches; ++i) {
    order.push_back({Phase::forward, chunk, i});
    order.push_back({Phase::backward, chunk, i - warm_up});
  }
  for (int i = microbatches - warm_up; i < microbatches; ++i) order.push_back({Phase::backward, chunk, i});
  return order;
}

}  // namespace models
