#include "search/answer.h"

#include <algorithm>
#include <tuple>

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

std::vector<Row> rows_of(const Query& query, const Space& space, const std::vector<Candidate>& candidates,
                         RowMaker& maker) {
  std::vector<Row> rows;
  for (const Candidate& candidate : candidates) {
    const models::OpenRun& open = space.setting(candidate.setting);
    models::Run run = open.base();
    open.lay_out(candidate.keys, run);
    rows.push_back(maker.row(description_of(query, candidate, run), candidate));
  }
  return rows;
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
  finish(answer, maker);
  return answer;
}

}  // namespace search
