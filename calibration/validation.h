#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "calibration/measured_runs.h"
#include "calibration/validated_row.h"
#include "hw/node.h"
#include "sim/prediction.h"

/// Predicts measured runs, row by row. Nothing is dropped: a row that is refused says why.
namespace calibration {

/// Reads each file (JSONL, docs/runs.md), predicts all rows (in parallel; the result does not depend on it) and the
/// rival's opinion of all rows that were predicted. Rows in the order of the files and their lines. Throws InputError
/// where a file cannot be read or the profile is bad.
std::vector<ValidatedRow> validate(std::span<const std::filesystem::path> files, models::Library& library,
                                   const hw::Node& profile, sim::Tier tier);

std::vector<ValidatedRow> validate(const MeasuredRuns& runs, const hw::Node& profile, sim::Tier tier);

/// The rival's opinion of all rows that were predicted.
void ask_rival(std::vector<ValidatedRow>& rows);

}  // namespace calibration
