#include "exec/cpu/bfloat16_rows.h"

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

EXEC_VECTORIZED void widen(const BFloat16* from, std::int64_t n, float* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = to_float(from[i]);
}

EXEC_VECTORIZED void narrow(const float* from, std::int64_t n, BFloat16* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = to_bfloat16(from[i]);
}

}  // namespace exec::cpu
