#pragma once

#include <string>
#include <vector>

#include "models/layout.h"

namespace models {

/// What parse_stage_layout() reads, as short as people write it: `Et*4|(t*4|)*14tmL`. MTP depths that lie together are
/// one `m`.
std::string stage_layout_text(const std::vector<StageChunk>& chunks);

/// The elements of one chunk: `t*4mL`.
std::string stage_text(const StageChunk& chunk, bool one_m_for_all);

}  // namespace models
