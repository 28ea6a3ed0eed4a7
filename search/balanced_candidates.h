#pragma once

#include <vector>

#include "search/balance.h"
#include "search/candidate.h"
#include "search/query.h"
#include "search/rows.h"

namespace search {

/// A candidate whose layers were placed anew, with its closed-form time, peak and score.
struct BalancedCandidate {
  Candidate candidate;
  models::Run run;
  bool fits = false;
};

/// Balances layouts of several stages on `threads` threads; others stay as they are.
///   runs  the candidates, laid out
std::vector<BalancedCandidate> balanced_runs(std::vector<models::Run> runs, const std::vector<Candidate>& candidates,
                                             const Query& query, RowMaker& maker, int threads);

}  // namespace search
