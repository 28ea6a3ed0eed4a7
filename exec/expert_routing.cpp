#include "exec/expert_routing.h"

#include <numeric>

namespace exec {

std::int64_t ExpertRouting::all_received() const {
  return std::accumulate(received.begin(), received.end(), std::int64_t{0});
}

std::int64_t ExpertRouting::all_gathered() const {
  return std::accumulate(received_by_peer.begin(), received_by_peer.end(), std::int64_t{0});
}

std::vector<std::int64_t> ExpertRouting::rows_by_expert() const {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(local_experts), 0);
  for (const auto& source : arriving)
    for (std::size_t e = 0; e < rows.size(); ++e) rows[e] += source[e];
  return rows;
}

std::vector<std::int64_t> sort_by_expert(ExpertRouting& routing) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(routing.experts), 0);
  for (const std::int32_t expert : routing.chosen) ++counts[static_cast<std::size_t>(expert)];
  std::vector<std::int64_t> next(counts.size(), 0);
  std::exclusive_scan(counts.begin(), counts.end(), next.begin(), std::int64_t{0});
  routing.row.resize(routing.chosen.size());
  for (std::size_t i = 0; i < routing.chosen.size(); ++i)
    routing.row[i] = static_cast<std::int32_t>(next[static_cast<std::size_t>(routing.chosen[i])]++);
  return counts;
}

}  // namespace exec
