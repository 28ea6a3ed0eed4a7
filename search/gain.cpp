#include "search/gain.h"

#include <cmath>
#include <numbers>

namespace search {

Gain gain_of(hw::Seconds own, hw::Seconds other, double half_width) {
  const double ratio = own / other, factor = std::exp(std::numbers::sqrt2 * half_width);
  return {.ratio = ratio, .low = ratio / factor, .high = ratio * factor};
}

}  // namespace search
