#pragma once

#include <cstdint>
#include <vector>

namespace exec {

/// Where one MoE layer's router sends the tokens of one microbatch: known only once the router has run.
struct ExpertRouting {
  // Of this rank's tokens
  int top_k = 0, experts = 0;
  std::vector<std::int32_t> chosen;  ///< [tokens, top_k]
  std::vector<std::int32_t> row;     ///< [tokens, top_k]: its place when all are sorted by expert, then token
  std::vector<std::int64_t> sent;    ///< rows by EP rank

  // Of this rank's experts
  int local_experts = 0;
  std::vector<std::int64_t> received;  ///< rows by EP rank
  /// Rows by source and local expert, as they arrive: sources are the EP ranks, once for each ETP peer.
  std::vector<std::vector<std::int64_t>> arriving;
  std::vector<std::int64_t> received_by_peer;  ///< all rows of each ETP peer, this rank's too

  std::int64_t tokens() const { return top_k > 0 ? static_cast<std::int64_t>(chosen.size()) / top_k : 0; }
  std::int64_t all_received() const;
  std::int64_t all_gathered() const;
  std::vector<std::int64_t> rows_by_expert() const;  ///< of local experts, from all sources
};

/// Fills `row`, and returns the rows of each of the `experts`.
std::vector<std::int64_t> sort_by_expert(ExpertRouting& routing);

}  // namespace exec
