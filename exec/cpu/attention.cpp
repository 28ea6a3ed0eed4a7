#include "exec/cpu/attention.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "exec/cpu/attention_tiles.h"
#include "exec/cpu/gemm.h"
#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

/// A softmax over the keys seen so far: its terms are e^(score - maximum), `sum` their sum.
template <typename T>
struct RunningSoftmax {
  T maximum = -static_cast<T>(HUGE_VAL), sum = 0;
};

/// Adds a row of scores [keys]: they become terms, and the row of `o` [v_dim], a sum of terms times values, is scaled
/// to the new maximum.
template <typename T>
EXEC_VECTORIZED void add_scores(std::int64_t keys, T* scores, std::int64_t v_dim, T* o, RunningSoftmax<T>* softmax) {
  const T maximum = std::max(softmax->maximum, lane_max<T>(keys, [&](std::int64_t j) { return scores[j]; }));
  if (std::isinf(maximum)) {  // all are -infinity, which minus itself is no number
    std::fill_n(scores, keys, T{0});
    return;
  }
  const T factor = exponential(softmax->maximum - maximum);
  for (std::int64_t j = 0; j < keys; ++j) scores[j] = exponential(scores[j] - maximum);
  for (std::int64_t j = 0; j < v_dim; ++j) o[j] *= factor;
  softmax->sum = softmax->sum * factor + lane_sum<T>(keys, [&](std::int64_t j) { return scores[j]; });
  softmax->maximum = maximum;
}

/// Divides the row of o by the denominator, which `sink` (null: none) joins; returns its logarithm.
template <typename T>
T finish(const RunningSoftmax<T>& softmax, const T* sink, std::int64_t v_dim, T* o) {
  const T maximum = sink == nullptr ? softmax.maximum : std::max(softmax.maximum, *sink);
  if (std::isinf(maximum)) return maximum;
  const T factor = std::exp(softmax.maximum - maximum);
  const T denominator = softmax.sum * factor + (sink == nullptr ? T{0} : std::exp(*sink - maximum));
  for (std::int64_t j = 0; j < v_dim; ++j) o[j] *= factor / denominator;
  return maximum + std::log(denominator);
}

/// One head of one tile of queries of one sequence.
template <typename T>
void attend(const AttentionShape& shape, std::int64_t sequence, std::int64_t head, const AttentionTile& queries,
            const std::vector<AttentionTile>& key_tiles, Matrix<const T> q, Matrix<const T> k, Matrix<const T> v,
            const T* sinks, Matrix<T> o, Matrix<T> lse) {
  const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const Matrix<const T> q_tile = head_of(q, sequence, shape.queries, queries, head, shape.qk_dim);
  const Matrix<T> o_tile = head_of(o, sequence, shape.queries, queries, head, shape.v_dim);
  zero(o_tile);
  std::vector<RunningSoftmax<T>> softmax(static_cast<std::size_t>(queries.count));
  std::vector<T> memory(static_cast<std::size_t>(queries.count * std::min(kKeyTile, shape.keys)));
  for (const AttentionTile& keys : key_tiles) {
    if (visible(shape, queries, keys) == Visible::none) continue;
    const Matrix<T> scores{memory.data(), queries.count, keys.count, keys.count};
    attention_scores<T>(shape, queries, keys, q_tile, head_of(k, sequence, shape.keys, keys, kv_head, shape.qk_dim),
                        scores);
    for (std::int64_t i = 0; i < queries.count; ++i)
      add_scores<T>(keys.count, scores.row(i), shape.v_dim, o_tile.row(i), &softmax[static_cast<std::size_t>(i)]);
    gemm(scores, false, head_of(v, sequence, shape.keys, keys, kv_head, shape.v_dim), false, 1, o_tile);
  }
  const Matrix<T> lse_tile = head_of(lse, sequence, shape.queries, queries, head, 1);
  for (std::int64_t i = 0; i < queries.count; ++i)
    *lse_tile.row(i) = finish(softmax[static_cast<std::size_t>(i)], sinks == nullptr ? nullptr : sinks + head,
                              shape.v_dim, o_tile.row(i));
}

template <typename T>
EXEC_VECTORIZED void merge_row(std::int64_t v_dim, T weight, T* o, T weight2, const T* o2) {
  for (std::int64_t j = 0; j < v_dim; ++j) o[j] = weight * o[j] + weight2 * o2[j];
}

}  // namespace

template <typename T>
void attention(const AttentionShape& shape, ConstMatrix<T> q, ConstMatrix<T> k, ConstMatrix<T> v, ConstPointer<T> sinks,
               Matrix<T> o, Matrix<T> lse) {
  assert(q.rows == shape.batch * shape.queries && q.columns == shape.heads * shape.qk_dim);
  assert(k.rows == shape.batch * shape.keys && k.columns == shape.kv_heads * shape.qk_dim);
  assert(v.rows == k.rows && v.columns == shape.kv_heads * shape.v_dim);
  assert(o.rows == q.rows && o.columns == shape.heads * shape.v_dim && lse.columns == shape.heads);
  const auto query_tiles = attention_tiles(shape.query_position, shape.queries, kQueryTile);
  const auto key_tiles = attention_tiles(shape.key_position, shape.keys, kKeyTile);
  for (std::int64_t sequence = 0; sequence < shape.batch; ++sequence)
    for (std::int64_t head = 0; head < shape.heads; ++head)
      for (const AttentionTile& queries : query_tiles)
        attend<T>(shape, sequence, head, queries, key_tiles, q, k, v, sinks, o, lse);
}

template <typename T>
void merge_attention(Matrix<T> o, Matrix<T> lse, ConstMatrix<T> o2, ConstMatrix<T> lse2) {
  assert(o.rows == lse.rows && o.columns % lse.columns == 0);
  const std::int64_t v_dim = o.columns / lse.columns;
  for (std::int64_t i = 0; i < o.rows; ++i)
    for (std::int64_t head = 0; head < lse.columns; ++head) {
      T& first = lse.row(i)[head];
      const T second = lse2.row(i)[head], maximum = std::max(first, second);
      if (std::isinf(maximum)) continue;  // neither part saw a key: o stays 0
      const T weight = std::exp(first - maximum), weight2 = std::exp(second - maximum), sum = weight + weight2;
      merge_row<T>(v_dim, weight / sum, o.row(i) + head * v_dim, weight2 / sum, o2.row(i) + head * v_dim);
      first = maximum + std::log(sum);
    }
}

#define EXEC_INSTANTIATE(T)                                                                            \
  template void attention<T>(const AttentionShape&, Matrix<const T>, Matrix<const T>, Matrix<const T>, \
                             ConstPointer<T>, Matrix<T>, Matrix<T>);                                   \
  template void merge_attention<T>(Matrix<T>, Matrix<T>, Matrix<const T>, Matrix<const T>);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
