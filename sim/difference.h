#pragma once

#include <string>
#include <vector>

#include "hw/units.h"
#include "sim/op_times.h"
#include "sim/prediction.h"

namespace sim {

/// One line of two breakdowns.
struct PartChange {
  std::string what;
  hw::Seconds a, b;
  hw::Seconds change() const { return b - a; }
};

/// One kind of memory.
struct MemoryChange {
  std::string kind;
  hw::Bytes a, b;
  hw::Bytes change() const { return b - a; }
};

/// One kind of op; 0 s where a run has none of it.
struct OpChange {
  std::string block, op;
  hw::Seconds a, b;
  Bound a_bound = Bound::latency, b_bound = Bound::latency;
  bool computes = true;
  hw::Seconds change() const { return b - a; }
};

struct TimeRange {
  hw::Seconds low, high;
};

/// What becomes of a step from prediction a to prediction b.
struct Difference {
  hw::Seconds step;                  ///< b - a; the changes of `parts` add up to it
  std::vector<PartChange> parts;     ///< largest change first
  std::vector<MemoryChange> memory;  ///< likewise; the changes add up to that of the peak
  /// 80 % ranges of the difference: with errors of a and b that have nothing in common, and with one error in both.
  TimeRange independent, shared;
  /// How likely b is slower, errors being independent and lognormal as the 80 % intervals say. What the two have in
  /// common, model, machine, stack and profile, cancels: then the predicted order is surer than this.
  double b_slower = 0.5;
};

Difference difference(const Prediction& a, const Prediction& b);

/// In the order of `a`, then what only `b` has.
std::vector<OpChange> op_changes(const std::vector<OpTime>& a, const std::vector<OpTime>& b);

}  // namespace sim
