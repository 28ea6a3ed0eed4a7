#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tuning/proposal.h"
#include "tuning/tries.h"

namespace tuning {

/// A layout that was run beside all others.
struct Ranked {
  std::size_t layout = 0;  ///< as Trial::layout
  double time = 0;         ///< seconds
  double halves = 0;       ///< how far odd and even rounds are apart: the noise of that figure, and more
};

/// Really runs every layout, the recipe's own too, in so many rounds; each round begins with another one. A layout's
/// time is the median over rounds of its time over the round's mean (geometric), times the mean of all rounds: a
/// machine that slows down slows all of a round. Best first; layouts that fail are left out.
std::vector<Ranked> run_all(const Proposals& proposals, const TryPlan& plan, int rounds, const Measure& measure);

}  // namespace tuning
