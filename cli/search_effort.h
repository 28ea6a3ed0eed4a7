#pragma once

#include "cli/answer.h"
#include "cli/search.h"

namespace cli {

/// `stepcast search --effort`: what searches cost in time and memory, as measured now. Throws hw::InputError.
Answer search_effort(const SearchOptions& options, const models::DataDirectory& data);

}  // namespace cli
