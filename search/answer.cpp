#include "search/answer.h"

#include <algorithm>
#include <tuple>

#include "search/balanced_candidates.h"
#include "search/rows.h"
#include "search/space.h"

namespace search {
namespace {

std::vector<hw::Efficiency> efficiencies_of(const Space& space, RowMaker& maker) {
  std::vector<hw::Efficiency> efficiencies;
  efficiencies.reserve(static_cast<std::size_t>(space.settings()));
  for (int i = 0; i < space.settings(); ++i) efficiencies.push_back(maker.efficiency(space.setting(i).base().cluster));
  return efficiencies;
}

/// Candidates laid out.
std::vector<models::Run> runs_of(const Space& space, const std::vector<Candidate>& candidates) {
  std::vector<models::Run> runs;
  for (const Candidate& candidate : candidates) {
    const models::OpenRun& open = space.setting(candidate.setting);
    runs.push_back(open.base());
    open.lay_out(candidate.keys, runs.back());
  }
  return runs;
}

std::vector<Row> rows_of(const Query& query, const Space& space, const std::vector<Candidate>& candidates,
                         RowMaker& maker) {
  const std::vector<models::Run> runs = runs_of(space, candidates);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < runs.size(); ++i)
    rows.push_back(maker.row(description_of(query, candidates[i], runs[i]), candidates[i]));
  return rows;
}

/// Places layers anew where that makes a layout better: those that fit, and those that nearly do.
void balance_rows(const Space& space, const Found& found, RowMaker& maker, int threads, Answer& answer) {
  const Query& query = answer.query;
  const auto balanced = [&](const std::vector<Candidate>& candidates) {
    return balanced_runs(runs_of(space, candidates), candidates, query, maker, threads);
  };
  const std::vector<BalancedCandidate> best = balanced(found.best.best());
  for (std::size_t i = 0; i < best.size(); ++i) {
    Row row = maker.row(description_of(query, best[i].candidate, best[i].run), best[i].candidate);
    if (best[i].fits && row.score < answer.rows[i].score) answer.rows[i] = std::move(row);
  }
  for (const BalancedCandidate& each : balanced(found.misses.best()))
    if (each.fits) answer.rows.push_back(maker.row(description_of(query, each.candidate, each.run), each.candidate));
}

}  // namespace

Answer search(const Query& query, models::Library& library, const hw::Node& profile, int threads,
              const Progress& progress) {
  const Space space(query, library);
  RowMaker maker(query, library, profile);
  const Found found = explore(query, space, efficiencies_of(space, maker), threads, progress);
  Answer answer{.query = query,
                .counts = found.counts,
                .groups = found.groups,
                .groups_done = found.groups_done,
                .rows = rows_of(query, space, found.best.best(), maker),
                .front = rows_of(query, space, found.front.members(), maker),
                .misses = rows_of(query, space, found.misses.best(), maker)};
  if (query.balance_stages) balance_rows(space, found, maker, threads, answer);
  finish(answer, maker);
  return answer;
}

}  // namespace search
