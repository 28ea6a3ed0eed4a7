#pragma once

#include "exec/cpu/matrix.h"
#include "models/model.h"

namespace exec::cpu {

/// The columns that a norm covers: `groups` of `width` columns from column `first` of each row on, each with its own
/// statistics. Columns outside are neither read nor written.
struct NormGroups {
  std::int64_t first = 0, groups = 1, width = 0;
  bool shared_weight = false;  ///< weight and bias are [width] for all groups (QK-norm), else [groups * width]
};

/// A norm over the whole row.
inline NormGroups whole_row(std::int64_t columns) { return {.first = 0, .groups = 1, .width = columns}; }

/// y = (x - mean) / sqrt(variance + eps) * weight + bias per row and group; rms: the mean counts as 0.
/// weight and bias may be null: 1 and 0. y may be x.
/// Source: Ba et al., arXiv 1607.06450 (layer); Zhang & Sennrich, arXiv 1910.07467 (rms).
template <typename T>
void norm(models::Norm kind, const NormGroups& groups, ConstMatrix<T> x, ConstPointer<T> weight, ConstPointer<T> bias,
          double eps, Matrix<T> y);

/// dx from dy (dx may be dy); dweight and dbias are added to, null where there is no such parameter.
template <typename T>
void norm_backward(models::Norm kind, const NormGroups& groups, ConstMatrix<T> dy, ConstMatrix<T> x,
                   ConstPointer<T> weight, double eps, Matrix<T> dx, Pointer<T> dweight, Pointer<T> dbias);

}  // namespace exec::cpu
