#include "sim/coalesce.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace sim {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

bool is_compute(const PlayedOp& op) {
  return op.stream == models::Stream::compute && op.link == Link::none && !op.sync && op.chunks <= 1;
}

/// What waits for an op: ops of other streams or the next block for its end; in chunks, for less.
enum class Awaited : char { no, end, chunks };

std::vector<Awaited> awaited_ops(const PricedList& list) {
  std::vector<Awaited> awaited(list.ops.size(), Awaited::no);
  for (const PlayedOp& op : list.ops) {
    for (const std::int16_t need : op.needs)
      awaited[at(need)] = std::max(awaited[at(need)], op.chunks > 1 ? Awaited::chunks : Awaited::end);
  }
  if (list.output >= 0) awaited[at(list.output)] = std::max(awaited[at(list.output)], Awaited::end);
  return awaited;
}

}  // namespace

PricedList coalesced(const PricedList& list) {
  const bool has_copies =
      std::ranges::any_of(list.ops, [](const PlayedOp& op) { return op.stream == models::Stream::copy; });
  if (has_copies) return list;
  const std::vector<Awaited> awaited = awaited_ops(list);
  PricedList result{.ops = {}, .weight_gradient = {}, .work = list.work, .splits = list.splits};
  std::vector<std::int16_t> place(list.ops.size());
  double later_host = 0;  // of ops that joined, not counted yet
  bool open = false;      // the last op of the result may be joined
  for (std::size_t i = 0; i < list.ops.size(); ++i) {
    const PlayedOp& op = list.ops[i];
    const bool whole = is_compute(op) && awaited[i] != Awaited::chunks;
    if (open && whole && op.needs.empty() && later_host + op.host.value <= result.ops.back().time.value) {
      later_host += op.host.value;
      result.ops.back().time += op.time;
    } else {
      PlayedOp& mine = result.ops.emplace_back(op);
      // A synchronisation waits for the joined op, by whose end the host has issued all of it.
      const double owed = std::exchange(later_host, 0);
      if (!op.sync) mine.host += hw::Seconds{owed};
      mine.needs.clear();
      for (const std::int16_t need : op.needs) mine.needs.push_back(place[at(need)]);
    }
    place[i] = static_cast<std::int16_t>(result.ops.size() - 1);
    open = whole && awaited[i] == Awaited::no;
  }
  result.host_after = {later_host};
  result.weight_gradient.assign(result.ops.size(), false);
  result.output = list.output < 0 ? list.output : place[at(list.output)];
  return result;
}

}  // namespace sim
