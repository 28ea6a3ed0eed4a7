#include "calibration/rival.h"

#include <cstddef>

#include "calibration/statistics.h"

namespace calibration {
namespace {

bool usable(const RivalInput& row) { return row.at_full_mfu.value > 0 && row.measured.value > 0; }

/// Measured MFU of the rows but `left_out`; of its system only, if `same_system`.
std::vector<double> other_mfus(std::span<const RivalInput> rows, std::size_t left_out, bool same_system) {
  std::vector<double> mfus;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i == left_out || !usable(rows[i]) || (same_system && rows[i].system != rows[left_out].system)) continue;
    mfus.push_back(rows[i].at_full_mfu / rows[i].measured);
  }
  return mfus;
}

}  // namespace

std::vector<std::optional<RivalPrediction>> constant_mfu_rival(std::span<const RivalInput> rows) {
  std::vector<std::optional<RivalPrediction>> predictions(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].at_full_mfu.value <= 0) continue;
    std::vector<double> mfus = other_mfus(rows, i, true);
    if (mfus.empty()) mfus = other_mfus(rows, i, false);
    if (mfus.empty()) continue;
    const double mfu = median(mfus);
    predictions[i] = RivalPrediction{.mfu = mfu,
                                     .step_time = rows[i].at_full_mfu / mfu,
                                     .low = rows[i].at_full_mfu / percentile(mfus, 0.9),
                                     .high = rows[i].at_full_mfu / percentile(mfus, 0.1)};
  }
  return predictions;
}

}  // namespace calibration
