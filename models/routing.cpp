#include "models/routing.h"

#include <algorithm>
#include <numeric>

namespace models {

double distinct_buckets(int experts, int top_k, int buckets, Routing routing) {
  if (buckets <= 1) return 1;
  const double per_bucket = static_cast<double>(experts) / buckets;
  if (routing == Routing::contiguous) {
    const int step = std::gcd(top_k, std::max(1, experts / buckets));
    return std::min<double>(buckets, 1 + (top_k - step) / per_bucket);
  }
  double missed = 1;
  for (int j = 0; j < top_k; ++j) missed *= std::max(0.0, experts - per_bucket - j) / (experts - j);
  return buckets * (1 - missed);
}

}  // namespace models
