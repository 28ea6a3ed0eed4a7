#include "sim/difference.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sim {
namespace {

/// Lines of `a`, then those that only `b` has. `same` tells whether an item belongs to a row, `start` opens a row.
template <typename Row, typename Item, typename Same, typename Start, typename Fill>
std::vector<Row> joined(const std::vector<Item>& a, const std::vector<Item>& b, const Same& same, const Start& start,
                        const Fill& fill) {
  std::vector<Row> rows;
  for (const bool second : {false, true}) {
    for (const Item& item : second ? b : a) {
      auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& known) { return same(known, item); });
      if (row == rows.end()) row = rows.insert(rows.end(), start(item));
      fill(*row, item, second);
    }
  }
  return rows;
}

template <typename Row>
void largest_change_first(std::vector<Row>& rows) {
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return std::abs(a.change().value) > std::abs(b.change().value); });
}

std::vector<PartChange> part_changes(const Prediction& a, const Prediction& b) {
  auto rows = joined<PartChange>(
      a.breakdown, b.breakdown, [](const PartChange& row, const BreakdownItem& item) { return row.what == item.what; },
      [](const BreakdownItem& item) {
        return PartChange{item.what, {}, {}};
      },
      [](PartChange& row, const BreakdownItem& item, bool second) { (second ? row.b : row.a) += item.time; });
  largest_change_first(rows);
  return rows;
}

std::vector<MemoryChange> memory_changes(const Memory& a, const Memory& b) {
  auto rows = joined<MemoryChange>(
      a.items, b.items, [](const MemoryChange& row, const MemoryItem& item) { return row.kind == item.kind; },
      [](const MemoryItem& item) {
        return MemoryChange{item.kind, {}, {}};
      },
      [](MemoryChange& row, const MemoryItem& item, bool second) { (second ? row.b : row.a) += item.bytes; });
  largest_change_first(rows);
  return rows;
}

double length(hw::Seconds x, hw::Seconds y) { return std::hypot(x.value, y.value); }

/// Each end of the difference is reached by one end of either interval; independent ones add in quadrature.
TimeRange independent_range(const Prediction& a, const Prediction& b) {
  const double middle = (b.step_time - a.step_time).value;
  return {{middle - length(b.step_time - b.low, a.high - a.step_time)},
          {middle + length(b.high - b.step_time, a.step_time - a.low)}};
}

/// Both at the low end, or both at the high end.
TimeRange shared_range(const Prediction& a, const Prediction& b) {
  const hw::Seconds low = b.low - a.low, high = b.high - a.high;
  return {std::min(low, high), std::max(low, high)};
}

/// Standard deviation of the logarithm of a step time whose 80 % interval this is.
double log_deviation(const Prediction& prediction) {
  constexpr double kDeviationsOf80 = 1.2815515655446004;  // normal quantile of 0.9
  return std::log(prediction.high / prediction.step_time) / kDeviationsOf80;
}

double chance_that_b_is_slower(const Prediction& a, const Prediction& b) {
  const double ratio = std::log(b.step_time / a.step_time);
  const double deviation = std::hypot(log_deviation(a), log_deviation(b));
  if (deviation <= 0) return ratio > 0 ? 1 : ratio < 0 ? 0 : 0.5;
  return 0.5 * std::erfc(-ratio / deviation / std::numbers::sqrt2);
}

}  // namespace

Difference difference(const Prediction& a, const Prediction& b) {
  return {.step = b.step_time - a.step_time,
          .parts = part_changes(a, b),
          .memory = memory_changes(a.memory, b.memory),
          .independent = independent_range(a, b),
          .shared = shared_range(a, b),
          .b_slower = chance_that_b_is_slower(a, b)};
}

std::vector<OpChange> op_changes(const std::vector<OpTime>& a, const std::vector<OpTime>& b) {
  return joined<OpChange>(
      a, b,
      [](const OpChange& row, const OpTime& item) {
        return row.block == item.block && row.op == item.op && row.computes == item.computes;
      },
      [](const OpTime& item) {
        return OpChange{.block = item.block,
                        .op = item.op,
                        .a = {},
                        .b = {},
                        .a_bound = item.bound,
                        .b_bound = item.bound,
                        .computes = item.computes};
      },
      [](OpChange& row, const OpTime& item, bool second) {
        (second ? row.b : row.a) += item.time;
        (second ? row.b_bound : row.a_bound) = item.bound;
      });
}

}  // namespace sim
