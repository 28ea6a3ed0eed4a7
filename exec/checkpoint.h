#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "exec/rank_executor.h"
#include "models/run.h"

namespace exec {

/// FOLDER/step-N holds the checkpoint of step N: a file a rank and a manifest, which is written last. Each element of
/// the model and of its optimizer's moments is in one file, with its place in the whole parameter, so that any layout
/// can read what any other wrote.
std::string checkpoint_folder(const std::string& folder, std::int64_t step);

/// The newest step that has a whole checkpoint in FOLDER; nothing where none has.
std::optional<std::int64_t> newest_checkpoint(const std::string& folder);

/// What --resume names: a checkpoint, or a folder of checkpoints, of which the newest. Throws hw::InputError where
/// there is none.
std::string find_checkpoint(const std::string& folder);

/// Writes weights and moments after `step` steps. All ranks call it; rank 0 ends it. Throws hw::InputError on the rank
/// that cannot write, and then there is no manifest; checkpoints that were there before stay as they are.
void save_checkpoint(const std::string& folder, std::int64_t step, const models::Run& run, RankExecutor& executor);

/// Fills weights and moments of this rank from a checkpoint of the same model and precision in any layout; returns its
/// step. Throws hw::InputError naming file and rule.
std::int64_t load_checkpoint(const std::string& checkpoint, const models::Run& run, RankExecutor& executor);

}  // namespace exec
