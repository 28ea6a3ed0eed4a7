#pragma once

#include <cstdint>

#include "exec/bfloat16.h"

namespace exec::cpu {

/// to[i] = from[i] for n elements.
void widen(const BFloat16* from, std::int64_t n, float* to);
/// Each rounded to the nearest, ties to even.
void narrow(const float* from, std::int64_t n, BFloat16* to);

}  // namespace exec::cpu
