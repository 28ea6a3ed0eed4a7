#include "calibration/error_summary.h"

#include <cmath>
#include <map>
#include <optional>

#include "calibration/statistics.h"

namespace calibration {
namespace {

/// One opinion of a measured step.
struct Opinion {
  hw::Seconds measured, predicted, low, high;
};

void fill_errors(const std::vector<Opinion>& opinions, ErrorSummary& summary) {
  summary.n = static_cast<int>(opinions.size());
  if (opinions.empty()) return;
  std::vector<double> errors, sizes;
  int covered = 0;
  for (const Opinion& one : opinions) {
    errors.push_back(one.predicted / one.measured - 1);
    sizes.push_back(std::abs(errors.back()));
    if (one.low <= one.measured && one.measured <= one.high) ++covered;
  }
  summary.median_abs = median(sizes);
  summary.mean_abs = mean(sizes);
  summary.p90_abs = percentile(sizes, 0.9);
  summary.max_abs = largest(sizes);
  summary.bias = median(errors);
  summary.coverage = static_cast<double>(covered) / static_cast<double>(opinions.size());
}

void fill_memory(const RowView& rows, ErrorSummary& summary) {
  std::vector<double> sizes;
  for (const ValidatedRow* row : rows) {
    if (row->has_memory()) sizes.push_back(std::abs(row->memory_error()));
  }
  summary.memory_n = static_cast<int>(sizes.size());
  if (sizes.empty()) return;
  summary.memory_median_abs = median(sizes);
  summary.memory_max_abs = largest(sizes);
}

std::string value_of(const ValidatedRow& row, std::string_view key) {
  if (key == "framework") return row.framework;
  if (key == "model") return row.model;
  if (key == "system") return row.system;
  if (key == "family") return row.family;
  if (key == "precision") return row.precision;
  if (key == "task") return row.task;
  return row.file;
}

}  // namespace

Summary summarize(const RowView& rows) {
  Summary summary;
  std::vector<Opinion> ours, rivals;
  std::vector<Contender> our_contenders, rival_contenders;
  for (const ValidatedRow* row : rows) {
    if (!row->is_predicted()) continue;
    ours.push_back({row->measured, row->predicted, row->low, row->high});
    our_contenders.push_back({row->group, row->measured, row->predicted});
    if (!row->rival) continue;
    rivals.push_back({row->measured, row->rival->step_time, row->rival->low, row->rival->high});
    rival_contenders.push_back({row->group, row->measured, row->at_full_mfu});
  }
  fill_errors(ours, summary.prediction);
  fill_errors(rivals, summary.rival);
  summary.prediction.refused = static_cast<int>(rows.size() - ours.size());
  summary.rival.refused = static_cast<int>(rows.size() - rivals.size());
  summary.prediction.ordering = order_pairs(our_contenders);
  summary.rival.ordering = order_pairs(rival_contenders);
  fill_memory(rows, summary.prediction);
  return summary;
}

RowView all_rows(std::span<const ValidatedRow> rows) {
  RowView view;
  for (const ValidatedRow& row : rows) view.push_back(&row);
  return view;
}

std::vector<std::pair<std::string, RowView>> group_by(std::span<const ValidatedRow> rows, std::string_view key) {
  std::map<std::string, RowView> groups;
  for (const ValidatedRow& row : rows) {
    const std::string value = value_of(row, key);
    groups[value.empty() ? "(not stated)" : value].push_back(&row);
  }
  return {groups.begin(), groups.end()};
}

}  // namespace calibration
