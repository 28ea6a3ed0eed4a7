#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "hw/efficiency.h"
#include "search/candidate.h"
#include "search/query.h"
#include "search/space.h"

namespace search {

/// Layouts of a space, and what became of them: legal = timed + pruned + too_large.
struct Counts {
  std::int64_t legal = 0;
  std::int64_t timed = 0;      ///< that fit, with a step time of their own
  std::int64_t pruned = 0;     ///< that fit, but a bound shows them to be neither among the best nor on the front
  std::int64_t too_large = 0;  ///< that do not fit
  std::int64_t too_slow = 0;   ///< of the timed ones, those that miss the goal

  std::int64_t faster = 0;  ///< of the timed ones, those faster than Query::count_faster_than

  void add(const Counts& other);
};

/// Layouts shown that do not fit.
inline constexpr std::size_t kMisses = 10;

/// What a search has found so far.
struct Found {
  Counts counts;
  Ranking best;    ///< by the objective
  Front front;     ///< of step time and memory
  Ranking misses;  ///< that do not fit by little
  std::int64_t groups_done = 0, groups = 0;
  bool complete() const { return groups_done == groups; }
};

/// How a search goes on, told now and then by the thread that asked.
struct Progress {
  std::function<void(const Found&)> report;  ///< may be empty
  const std::atomic<bool>* stop = nullptr;   ///< set: end with what was found
};

/// Looks at every layout of the space, on `threads` threads. The answer does not depend on their number.
///   efficiencies  by setting
Found explore(const Query& query, const Space& space, const std::vector<hw::Efficiency>& efficiencies, int threads,
              const Progress& progress);

}  // namespace search
