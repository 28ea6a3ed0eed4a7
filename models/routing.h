#pragma once

#include "models/layout.h"
#include "models/recipe.h"

namespace models {

/// Distinct buckets out of `buckets` equal blocks of `experts` experts that one token's top_k experts fall into,
/// expected.
///   balanced_random  top_k experts drawn without replacement: B * (1 - prod_j (E - E/B - j) / (E - j))
///   contiguous       experts (t*k + j) mod E (AutoModel's fake gate): 1 + (k - gcd(k, e)) / e with e = E / B
double distinct_buckets(int experts, int top_k, int buckets, Routing routing);

}  // namespace models
