#pragma once

#include "exec/cpu/matrix.h"

namespace exec::cpu {

/// The columns that rotate: `rotary` of each of `heads` heads of `head_dim` columns; head 0 starts at column `first`,
/// and `offset` columns of each head come before its rotating ones.
struct RotaryColumns {
  std::int64_t first = 0, heads = 1, head_dim = 0, offset = 0, rotary = 0;
  bool interleaved = false;  ///< pairs (0, 1), (2, 3), ..., else (0, rotary/2), (1, rotary/2 + 1), ...
};

enum class Rotation { forward, backward };  ///< backward: the inverse, which is what gradients need

/// y = x with each pair (a, b) of row i turned: (a cos - b sin, b cos + a sin), cosine and sine [rows, rotary/2]. Other
/// columns of the heads are copied; columns outside the heads are left alone. y may be x.
/// Source: Su et al., arXiv 2104.09864, equation 34.
template <typename T>
void rotate(const RotaryColumns& columns, Rotation rotation, ConstMatrix<T> x, ConstMatrix<T> cosine,
            ConstMatrix<T> sine, Matrix<T> y);

}  // namespace exec::cpu
