#pragma once

#include <optional>

#include "search/explore.h"
#include "search/query.h"

namespace search {

/// How far the shortcuts of a search may be trusted on one query.
struct Check {
  Counts pruned, whole;          ///< with bounds and without
  bool same = false;             ///< both show the same layouts, times and peaks
  std::size_t by_events = 0;     ///< layouts that fit, all predicted by events
  std::optional<double> regret;  ///< by events: the closed form's first over the best of them, less 1; not by memory
};

/// Searches twice, then predicts all that fits by events. Throws hw::InputError.
Check check(Query query, models::Library& library, const hw::Node& profile, int threads);

}  // namespace search
