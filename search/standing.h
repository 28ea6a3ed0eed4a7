#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "search/answer.h"
#include "search/explore.h"
#include "search/gain.h"

namespace search {

/// Where a run's own layout stands among all that its framework could run in its place.
struct Standing {
  models::Run run;
  sim::Prediction own;          ///< of the run itself, by events
  hw::Seconds own_closed_form;  ///< what its rank is counted by
  std::string missing;          ///< why the space does not have it; empty: it does
  bool fits = false;            ///< in what the search leaves of the memory
  Answer answer;                ///< what the search proposes

  std::int64_t rank() const { return 1 + answer.counts.faster; }
  std::int64_t that_fit() const { return answer.counts.timed + answer.counts.pruned; }
  Gain gain = {};  ///< of the proposal
};

/// Searches the space around a run (search/open_query.h), counting the layouts that fit and are faster than its own.
/// Throws hw::InputError.
///   stated  the description, parsed
Standing standing_of(const hw::Node& description, const models::Run& stated, models::Library& library,
                     const hw::Node& profile, int threads, const Progress& progress);

}  // namespace search
