#include "search/balanced_candidates.h"

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <utility>

#include "search/judge.h"

namespace search {
namespace {

BalancedCandidate balanced(models::Run run, Candidate candidate, const Query& query, const hw::Efficiency& efficiency) {
  const Judge judge(query, run.cluster, run.layout.gbs, run.layout.seq_len);
  if (run.layout.chunks.size() > 1) {
    const Placement best = balance(run, efficiency, judge.room(), 1).best.front();
    run.layout.chunks = best.chunks;
    candidate.time = best.time;
    candidate.peak = best.peak;
    candidate.score = judge.score(run.layout.gpus, best.time, best.peak);
  }
  const bool fits = candidate.peak <= judge.room() && judge.reaches_goal(candidate.time);
  return {.candidate = candidate, .run = std::move(run), .fits = fits};
}

}  // namespace

std::vector<BalancedCandidate> balanced_runs(std::vector<models::Run> runs, const std::vector<Candidate>& candidates,
                                             const Query& query, RowMaker& maker, int threads) {
  namespace tbb = oneapi::tbb;
  std::vector<const hw::Efficiency*> efficiencies;  // read by one thread
  efficiencies.reserve(runs.size());
  for (const models::Run& run : runs) efficiencies.push_back(&maker.efficiency(run.cluster));
  std::vector<BalancedCandidate> found(runs.size());
  tbb::task_arena arena(threads > 0 ? threads : tbb::task_arena::automatic);
  arena.execute([&] {
    tbb::parallel_for(std::size_t{0}, runs.size(), [&](std::size_t i) {
      found[i] = balanced(std::move(runs[i]), candidates[i], query, *efficiencies[i]);
    });
  });
  return found;
}

}  // namespace search
