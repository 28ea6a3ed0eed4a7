#pragma once

#include "exec/cpu/matrix.h"

// Cross-entropy over a vocabulary that is spread over shards. A shard holds logits [rows, v_local]; its column 0 is
// vocabulary entry `first`, and only its first `valid` columns exist, the rest is padding. labels [rows] are entries of
// the whole vocabulary; a row whose label is negative counts nothing and has no gradient.
// Source: Shoeybi et al., arXiv 1909.08053, section 3 (parallel cross-entropy).
namespace exec::cpu {

/// One row's columns in `statistics` [rows, 3].
enum class CrossEntropyColumn { maximum, sum, target };  ///< max x, sum of e^(x - max x), the label's x

/// Statistics of one shard: target is -infinity where the label lies elsewhere, maximum is -infinity without a column.
template <typename T>
void cross_entropy_statistics(ConstMatrix<T> logits, const std::int64_t* labels, std::int64_t first, std::int64_t valid,
                              Matrix<T> statistics);

/// Statistics of the whole vocabulary [rows, 3] from those of the shards, one below the other [shards * rows, 3].
template <typename T>
void combine_statistics(ConstMatrix<T> shards, Matrix<T> combined);

/// softmax[i, j] = e^(logits[i, j] - max) / sum, 0 in the padding; softmax may be logits.
template <typename T>
void softmax_of_shard(ConstMatrix<T> logits, ConstMatrix<T> combined, std::int64_t valid, Matrix<T> softmax);

/// Sum over rows of log(sum of e^x) - target, from the combined statistics.
template <typename T>
double cross_entropy_loss(Matrix<const T> combined, const std::int64_t* labels);

/// dlogits = factor (softmax - 1 at the label), the gradient of factor times the loss; dlogits may be softmax.
template <typename T>
void cross_entropy_gradient(ConstMatrix<T> softmax, const std::int64_t* labels, std::int64_t first,
                            std::type_identity_t<T> factor, Matrix<T> dlogits);

}  // namespace exec::cpu
