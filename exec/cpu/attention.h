#pragma once

#include "exec/cpu/matrix.h"

namespace exec::cpu {

/// Softmax attention of `batch` sequences: `queries` rows of q and `keys` rows of k and v per sequence; kv head of head
/// h is h / (heads / kv_heads). Positions are the same in all sequences; they need not be sorted, nor contiguous. A
/// query sees a key if the key's position is not above its own (causal) and, if window > 0, above its own - window.
struct AttentionShape {
  std::int64_t batch = 0, queries = 0, keys = 0;
  std::int64_t heads = 0, kv_heads = 0, qk_dim = 0, v_dim = 0;
  double scale = 1;  ///< of q k^T
  bool causal = true;
  std::int32_t window = 0;                       ///< 0: none
  const std::int32_t* query_position = nullptr;  ///< [queries], >= 0
  const std::int32_t* key_position = nullptr;    ///< [keys], >= 0
};

/// o [batch*queries, heads*v_dim] and lse [batch*queries, heads], the natural logarithm of each softmax's denominator,
/// from q [batch*queries, heads*qk_dim], k [batch*keys, kv_heads*qk_dim] and v [batch*keys, kv_heads*v_dim], in tiles:
/// no matrix of queries by keys. `sinks` [heads] or null: a logit per head that joins the denominator alone. A row
/// without a visible key and without sink gives o = 0 and lse = -infinity.
/// Source: Dao, arXiv 2307.08691, algorithm 1; sinks: Xiao et al., arXiv 2309.17453, as learned in GPT-OSS.
template <typename T>
void attention(const AttentionShape& shape, ConstMatrix<T> q, ConstMatrix<T> k, ConstMatrix<T> v, ConstPointer<T> sinks,
               Matrix<T> o, Matrix<T> lse);

/// Writes dq, dk, dv; adds to dsinks [heads] (null if there are none). When o and lse were merged from several blocks
/// of keys, they are the merged ones, k and v are one block, and dq is this block's part of the sum; then `sinks` and
/// `dsinks` are given with one block only. Source: Dao, arXiv 2307.08691, algorithm 2.
template <typename T>
void attention_backward(const AttentionShape& shape, ConstMatrix<T> dout, ConstMatrix<T> o, ConstMatrix<T> lse,
                        ConstMatrix<T> q, ConstMatrix<T> k, ConstMatrix<T> v, ConstPointer<T> sinks, Matrix<T> dq,
                        Matrix<T> dk, Matrix<T> dv, Pointer<T> dsinks);

/// Turns o and lse of one set of keys and o2 and lse2 of another, disjoint one into those of the union, in o and lse.
/// o [rows, heads*v_dim], lse [rows, heads]. A sink belongs to one of the two only.
template <typename T>
void merge_attention(Matrix<T> o, Matrix<T> lse, ConstMatrix<T> o2, ConstMatrix<T> lse2);

}  // namespace exec::cpu
