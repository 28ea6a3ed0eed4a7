#pragma once

#include "exec/cpu/matrix.h"

namespace exec::cpu {

/// out[i] = table[ids[i] - first_row], zero for ids outside this shard. ids [rows], table [local vocabulary, h],
/// out [rows, h]. The shards' outputs add up to the whole lookup.
template <typename T>
void embed(const std::int64_t* ids, ConstMatrix<T> table, std::int64_t first_row, Matrix<T> out);

/// dtable[ids[i] - first_row] += dy[i], in the order of rows; ids outside this shard are left out.
template <typename T>
void embed_backward(const std::int64_t* ids, ConstMatrix<T> dy, std::int64_t first_row, Matrix<T> dtable);

}  // namespace exec::cpu
