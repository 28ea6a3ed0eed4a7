#pragma once

#include "hw/units.h"

namespace search {

/// How much faster: the time of one step over that of another.
struct Gain {
  double ratio = 1, low = 1, high = 1;  ///< 80 % interval, as if the errors of both predictions were independent
};

/// `half_width` of the 80 % interval of one prediction, of its logarithm; that of a difference is sqrt 2 times as wide.
Gain gain_of(hw::Seconds own, hw::Seconds other, double half_width);

}  // namespace search
