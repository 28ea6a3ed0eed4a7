#pragma once

#include "models/model.h"
#include "models/recipe.h"

namespace models {

/// `buckets` and the groups of experts must divide one another. Distinct buckets out of `buckets` equal blocks of the
/// experts (ranks, NVLink domains) that one token's top_k experts fall into, expected. E experts in G groups, of which
/// a token may use g; A = E g / G.
///   balanced_random  the g groups drawn, then top_k of their experts without replacement: B times the chance that a
///                    bucket is hit, 1 - prod_j (A - a - j) / (A - j) with a of its experts allowed
///   contiguous       experts (t*k + j) mod E (AutoModel's fake gate): 1 + (k - gcd(k, e)) / e with e = E / B
double distinct_buckets(const MoeSpec& spec, int buckets, Routing routing);

/// Kernels that cast the rows of so many experts: each expert's rows have a scale of their own. With one scale a tensor
/// (fp8) its largest value, the scale and the cast are kernels apart.
float expert_cast_launches(hw::DType type, int experts);

}  // namespace models
