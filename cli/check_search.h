#pragma once

#include "cli/answer.h"
#include "cli/search.h"

namespace cli {

/// `stepcast search --check`: whether pruning changes answers, and whether events would pick another layout than the
/// closed form. Throws hw::InputError. Status kNo where an answer changes or a pick costs more than 1 %.
Answer check_search(const SearchOptions& options, const models::DataDirectory& data);

}  // namespace cli
