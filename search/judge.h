#pragma once

#include <optional>

#include "hw/cluster.h"
#include "hw/units.h"
#include "search/candidate.h"
#include "search/query.h"

namespace search {

/// How good a layout is by the query's objective, and whether it counts at all: of one machine, batch and sequence.
class Judge {
 public:
  /// `gbs`, `seq_len`: of the setting. Throws hw::InputError where the machine lacks what the objective needs.
  Judge(const Query& query, const hw::Cluster& cluster, int gbs, std::int64_t seq_len);

  /// Grows with the time and, by Objective::memory, with the peak; a bound of the time gives a bound of the score.
  Score score(int gpus, hw::Seconds time, hw::Bytes peak) const;
  bool reaches_goal(hw::Seconds time) const { return time <= longest_step_; }

  hw::Bytes room() const { return room_; }            ///< what a layout may need at most
  hw::Bytes near_miss() const { return near_miss_; }  ///< what is worth showing all the same

  /// Dollars, of a million tokens; nothing without a price.
  std::optional<double> cost_per_million_tokens(int gpus, hw::Seconds time) const;
  /// Watt hours of the GPUs at their TDP, of a million tokens; nothing where that is not stated.
  std::optional<double> watt_hours_per_million_tokens(int gpus, hw::Seconds time) const;
  /// Days and dollars of the goal's tokens.
  std::optional<double> days(hw::Seconds time) const;
  std::optional<double> cost_of_goal(int gpus, hw::Seconds time) const;

 private:
  double value(int gpus, hw::Seconds time, hw::Bytes peak) const;

  Objective objective_;
  bool fewest_gpus_;
  std::optional<Goal> goal_;
  double tokens_;
  std::optional<double> price_;  ///< of a GPU and hour
  double watts_;
  hw::Seconds longest_step_;
  hw::Bytes room_, near_miss_;
};

}  // namespace search
