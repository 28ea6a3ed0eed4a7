#include "search/check.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "search/rows.h"
#include "search/space.h"
#include "sim/prediction.h"

namespace search {
namespace {

bool same_candidates(const std::vector<Candidate>& a, const std::vector<Candidate>& b) {
  return std::ranges::equal(a, b, [](const Candidate& x, const Candidate& y) {
    return x.keys == y.keys && x.setting == y.setting && x.time == y.time && x.peak == y.peak;
  });
}

bool same_answer(const Found& a, const Found& b) {
  return same_candidates(a.best.best(), b.best.best()) && same_candidates(a.front.members(), b.front.members()) &&
         same_candidates(a.misses.best(), b.misses.best());
}

double score_by_events(const Query& query, const Space& space, const Candidate& candidate, RowMaker& maker) {
  const models::OpenRun& open = space.setting(candidate.setting);
  models::Run run = open.base();
  open.lay_out(candidate.keys, run);
  const sim::Prediction prediction = sim::predict(run, maker.efficiency(run.cluster), sim::Tier::events);
  const Judge judge(query, run.cluster, run.layout.gbs, run.layout.seq_len);
  const Score score = judge.score(run.layout.gpus, prediction.step_time, prediction.memory.peak);
  return query.fewest_gpus ? score.second : score.first;
}

/// Of the candidates with as few GPUs as the first, where that comes first.
double regret_of(const Query& query, const Space& space, const std::vector<Candidate>& best, RowMaker& maker) {
  const double first = score_by_events(query, space, best.front(), maker);
  double least = first;
  for (const Candidate& candidate : best)
    if (!query.fewest_gpus || candidate.keys.gpus == best.front().keys.gpus)
      least = std::min(least, score_by_events(query, space, candidate, maker));
  return first / least - 1;
}

}  // namespace

Check check(Query query, models::Library& library, const hw::Node& profile, int threads) {
  RowMaker maker(query, library, profile);
  const Space space(query, library);
  std::vector<hw::Efficiency> efficiencies;
  efficiencies.reserve(static_cast<std::size_t>(space.settings()));
  for (int i = 0; i < space.settings(); ++i) efficiencies.push_back(maker.efficiency(space.setting(i).base().cluster));
  query.prune = true;
  const Found pruned = explore(query, space, efficiencies, threads, {});
  query.prune = false;
  const Found whole = explore(query, space, efficiencies, threads, {});
  Check check{.pruned = pruned.counts, .whole = whole.counts, .same = same_answer(pruned, whole), .regret = {}};
  if (query.objective == Objective::memory || whole.best.best().empty()) return check;
  query.rerank = std::numeric_limits<int>::max();
  const Found all = explore(query, space, efficiencies, threads, {});
  check.by_events = all.best.best().size();
  check.regret = regret_of(query, space, all.best.best(), maker);
  return check;
}

}  // namespace search
