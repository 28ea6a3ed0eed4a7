#pragma once

#include <vector>

#include "exec/cpu/attention.h"

namespace exec::cpu {

/// Consecutive queries or keys of a sequence.
struct AttentionTile {
  std::int64_t first = 0, count = 0;
  const std::int32_t* positions = nullptr;  ///< [count]
  std::int32_t least = 0, most = 0;         ///< of the positions
};

constexpr std::int64_t kQueryTile = 64, kKeyTile = 128;

std::vector<AttentionTile> attention_tiles(const std::int32_t* positions, std::int64_t count, std::int64_t size);

enum class Visible { none, some, all };

/// What the queries of a tile see of the keys of another; `some` may also stand for none or all of them.
Visible visible(const AttentionShape& shape, const AttentionTile& queries, const AttentionTile& keys);

/// scores[i, j] = scale q_i k_j, -infinity where query i does not see key j. q and k are one head's rows of the tiles;
/// scores [queries.count, keys.count].
template <typename T>
void attention_scores(const AttentionShape& shape, const AttentionTile& queries, const AttentionTile& keys,
                      Matrix<const T> q, Matrix<const T> k, Matrix<T> scores);

/// Rows of tile `tile` of sequence `sequence` (of `length` rows), columns of head `head`.
template <typename T>
Matrix<T> head_of(Matrix<T> matrix, std::int64_t sequence, std::int64_t length, const AttentionTile& tile,
                  std::int64_t head, std::int64_t dim) {
  return matrix.rows_from(sequence * length + tile.first, tile.count).columns_from(head * dim, dim);
}

}  // namespace exec::cpu
