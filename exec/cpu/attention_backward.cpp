#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "exec/cpu/attention.h"
#include "exec/cpu/attention_tiles.h"
#include "exec/cpu/gemm.h"
#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

template <typename T>
EXEC_VECTORIZED T dot(std::int64_t n, const T* a, const T* b) {
  return lane_sum<T>(n, [&](std::int64_t i) { return a[i] * b[i]; });
}

/// One row: scores become probabilities, and dp, the gradient of the probabilities, that of q k^T.
/// `delta`: the sum of probability times dp over all keys, = dout . o.
template <typename T>
EXEC_VECTORIZED void softmax_backward(std::int64_t keys, T lse, T delta, T scale, T* scores, T* dp) {
  for (std::int64_t j = 0; j < keys; ++j) {
    const T probability = exponential(scores[j] - lse);
    scores[j] = probability;
    dp[j] = scale * probability * (dp[j] - delta);
  }
}

template <typename T>
struct Gradients {
  Matrix<T> dq, dk, dv;
};

/// What one head of one tile of queries has of its own.
template <typename T>
struct QueryTile {
  AttentionTile tile;
  Matrix<const T> q, dout, lse;  ///< lse: one column
  std::vector<T> delta;          ///< dout . o of each row
};

/// One head, one tile of queries, one tile of keys; q, k, v, dq, ... are of the tiles. `memory` is 2 tiles of scores.
template <typename T>
void attend_backward(const AttentionShape& shape, const QueryTile<T>& queries, const AttentionTile& keys,
                     Matrix<const T> k, Matrix<const T> v, const Gradients<T>& to, T* memory) {
  const std::int64_t rows = queries.tile.count;
  const Matrix<T> scores{memory, rows, keys.count, keys.count};
  const Matrix<T> dscores{memory + rows * keys.count, rows, keys.count, keys.count};
  attention_scores<T>(shape, queries.tile, keys, queries.q, k, scores);
  gemm(queries.dout, false, v, true, 0, dscores);
  for (std::int64_t i = 0; i < rows; ++i) {
    const T lse = *queries.lse.row(i);
    if (std::isinf(lse)) {  // saw no key
      std::fill_n(scores.row(i), keys.count, T{0});
      std::fill_n(dscores.row(i), keys.count, T{0});
    } else {
      softmax_backward<T>(keys.count, lse, queries.delta[static_cast<std::size_t>(i)], static_cast<T>(shape.scale),
                          scores.row(i), dscores.row(i));
    }
  }
  gemm(scores, true, queries.dout, false, 1, to.dv);
  gemm(dscores, false, k, false, 1, to.dq);
  gemm(dscores, true, queries.q, false, 1, to.dk);
}

}  // namespace

template <typename T>
void attention_backward(const AttentionShape& shape, ConstMatrix<T> dout, ConstMatrix<T> o, ConstMatrix<T> lse,
                        ConstMatrix<T> q, ConstMatrix<T> k, ConstMatrix<T> v, ConstPointer<T> sinks, Matrix<T> dq,
                        Matrix<T> dk, Matrix<T> dv, Pointer<T> dsinks) {
  assert(q.rows == shape.batch * shape.queries && k.rows == shape.batch * shape.keys && v.rows == k.rows);
  assert((sinks == nullptr) == (dsinks == nullptr));
  zero(dq);
  zero(dk);
  zero(dv);
  const auto query_tiles = attention_tiles(shape.query_position, shape.queries, kQueryTile);
  const auto key_tiles = attention_tiles(shape.key_position, shape.keys, kKeyTile);
  std::vector<T> memory(
      static_cast<std::size_t>(2 * std::min(kQueryTile, shape.queries) * std::min(kKeyTile, shape.keys)));
  for (std::int64_t sequence = 0; sequence < shape.batch; ++sequence)
    for (std::int64_t head = 0; head < shape.heads; ++head)
      for (const AttentionTile& tile : query_tiles) {
        const auto of_queries = [&](auto matrix, std::int64_t dim) {
          return head_of(matrix, sequence, shape.queries, tile, head, dim);
        };
        const auto o_tile = of_queries(o, shape.v_dim);
        QueryTile<T> queries{tile, of_queries(q, shape.qk_dim), of_queries(dout, shape.v_dim), of_queries(lse, 1), {}};
        for (std::int64_t i = 0; i < tile.count; ++i) {
          queries.delta.push_back(dot<T>(shape.v_dim, queries.dout.row(i), o_tile.row(i)));
          if (sinks != nullptr) dsinks[head] -= std::exp(sinks[head] - *queries.lse.row(i)) * queries.delta.back();
        }
        for (const AttentionTile& keys : key_tiles) {
          if (visible(shape, tile, keys) == Visible::none) continue;
          const auto of_keys = [&](auto matrix, std::int64_t dim) {
            return head_of(matrix, sequence, shape.keys, keys, head / (shape.heads / shape.kv_heads), dim);
          };
          attend_backward<T>(shape, queries, keys, of_keys(k, shape.qk_dim), of_keys(v, shape.v_dim),
                             {of_queries(dq, shape.qk_dim), of_keys(dk, shape.qk_dim), of_keys(dv, shape.v_dim)},
                             memory.data());
        }
      }
}

#define EXEC_INSTANTIATE(T)                                                                                          \
  template void attention_backward<T>(const AttentionShape&, Matrix<const T>, Matrix<const T>, Matrix<const T>,      \
                                      Matrix<const T>, Matrix<const T>, Matrix<const T>, ConstPointer<T>, Matrix<T>, \
                                      Matrix<T>, Matrix<T>, Pointer<T>);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
