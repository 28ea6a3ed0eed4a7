#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "calibration/ordering.h"
#include "calibration/validation.h"

namespace calibration {

using RowView = std::vector<const ValidatedRow*>;

/// Errors are predicted / measured - 1. Figures of nothing (n, ordering.pairs, ordering.groups or memory_n of 0) are 0
/// and mean nothing.
struct ErrorSummary {
  int n = 0, refused = 0;
  double median_abs = 0, mean_abs = 0, p90_abs = 0, max_abs = 0;
  double bias = 0;      ///< median signed error
  double coverage = 0;  ///< share of rows whose measured time lies in the 80 % interval
  Ordering ordering;
  int memory_n = 0;
  double memory_median_abs = 0, memory_max_abs = 0;
};

/// Of the predictions, and of the constant-MFU rival on the same rows. The rival puts layouts of one group in the order
/// of their FLOPs / peak: leaving each row out in turn would give competing rows different MFUs, the slow ones the
/// better, and so turn the order round. It knows nothing of memory.
struct Summary {
  ErrorSummary prediction, rival;
};

Summary summarize(const RowView& rows);

RowView all_rows(std::span<const ValidatedRow> rows);

/// framework, model, system, family, precision, task or file.
inline constexpr std::string_view kGroupKeys[] = {"framework", "model", "system", "family",
                                                  "precision", "task",  "file"};

/// Rows by the value of `key` (one of kGroupKeys), sorted by it; rows that do not state it are `(not stated)`.
std::vector<std::pair<std::string, RowView>> group_by(std::span<const ValidatedRow> rows, std::string_view key);

}  // namespace calibration
