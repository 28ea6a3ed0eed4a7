#include "calibration/validation.h"

#include <cstddef>

#include "calibration/parallel.h"

namespace calibration {

void ask_rival(std::vector<ValidatedRow>& rows) {
  std::vector<RivalInput> inputs;
  std::vector<ValidatedRow*> asked;
  for (ValidatedRow& row : rows) {
    if (!row.is_predicted()) continue;
    inputs.push_back({row.system, row.measured, row.at_full_mfu});
    asked.push_back(&row);
  }
  const auto answers = constant_mfu_rival(inputs);
  for (std::size_t i = 0; i < asked.size(); ++i) asked[i]->rival = answers[i];
}

std::vector<ValidatedRow> validate(std::span<const std::filesystem::path> files, models::Library& library,
                                   const hw::Node& profile, sim::Tier tier) {
  return validate(MeasuredRuns(files, library), profile, tier);
}

std::vector<ValidatedRow> validate(const MeasuredRuns& runs, const hw::Node& profile, sim::Tier tier) {
  const Efficiencies efficiencies = efficiencies_of(runs, profile);
  std::vector<ValidatedRow> rows = runs.rows();
  for_each_index(runs.runs().size(), [&](std::size_t i) {
    const MeasuredRun& run = runs.runs()[i];
    predict_row(run, efficiencies, tier, rows[run.row]);
  });
  ask_rival(rows);
  return rows;
}

}  // namespace calibration
