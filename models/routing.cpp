#include "models/routing.h"

#include <algorithm>
#include <numeric>

namespace models {
namespace {

/// That none of `draws` experts out of `all` is one of `mine`.
double all_miss(double all, double mine, int draws) {
  double chance = 1;
  for (int j = 0; j < draws; ++j) chance *= std::max(0.0, all - mine - j) / (all - j);
  return chance;
}

/// That `hits` of the `chosen` groups out of `groups` are among a bucket's `mine`: hypergeometric.
double group_chance(int groups, int mine, int chosen, int hits) {
  const auto ways = [](int n, int k) {
    if (k < 0 || k > n) return 0.0;
    double product = 1;
    for (int i = 1; i <= k; ++i) product *= static_cast<double>(n - k + i) / i;
    return product;
  };
  return ways(mine, hits) * ways(groups - mine, chosen - hits) / ways(groups, chosen);
}

}  // namespace

double distinct_buckets(const MoeSpec& spec, int buckets, Routing routing) {
  if (buckets <= 1) return 1;
  const double per_bucket = static_cast<double>(spec.experts) / buckets;
  if (routing == Routing::contiguous) {
    const int step = std::gcd(spec.top_k, std::max(1, spec.experts / buckets));
    return std::min<double>(buckets, 1 + (spec.top_k - step) / per_bucket);
  }
  const double per_group = static_cast<double>(spec.experts) / spec.groups, allowed = spec.top_groups * per_group;
  // A bucket is a part of one group, or holds whole ones.
  const int mine = std::max(1, spec.groups / buckets);
  double missed = 0;
  for (int hits = 0; hits <= std::min(mine, spec.top_groups); ++hits)
    missed += group_chance(spec.groups, mine, spec.top_groups, hits) *
              all_miss(allowed, hits * std::min(per_group, per_bucket), spec.top_k);
  return buckets * (1 - missed);
}

float expert_cast_launches(hw::DType type, int experts) {
  return static_cast<float>(experts) * (type == hw::DType::fp8 ? 3.0F : 1.0F);
}

}  // namespace models
