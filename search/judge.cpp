#include "search/judge.h"

#include <limits>

#include "hw/input_error.h"
#include "search/framework.h"

namespace search {
namespace {

constexpr double kHour = 3600, kDay = 24 * kHour, kMillion = 1e6;

std::optional<double> price_of(const Query& query, const std::string& system) {
  for (const std::string& name : {system, std::string()}) {
    const auto price = query.price.find(name);
    if (price != query.price.end()) return price->second;
  }
  return {};
}

}  // namespace

Judge::Judge(const Query& query, const hw::Cluster& cluster, int gbs, std::int64_t seq_len)
    : objective_(query.objective),
      fewest_gpus_(query.fewest_gpus),
      goal_(query.goal),
      tokens_(static_cast<double>(gbs) * static_cast<double>(seq_len)),
      price_(price_of(query, cluster.name)),
      watts_(cluster.gpu.tdp_watts),
      longest_step_{std::numeric_limits<double>::infinity()},
      room_(room_of(query.memory_margin, query.framework.memory_reserve, cluster)),
      near_miss_(room_ + query.framework.near_miss * cluster.gpu.memory) {
  if (goal_) longest_step_ = {goal_->days * kDay * tokens_ / goal_->tokens};
  if (objective_ == Objective::cost && !price_)
    query.description.at("price_per_gpu_hour").fail("must have a price for system " + cluster.name);
  if (objective_ == Objective::energy && watts_ <= 0)
    query.description.at("objective")
        .fail("needs the TDP of the GPU, which system " + cluster.name + " does not state");
}

double Judge::value(int gpus, hw::Seconds time, hw::Bytes peak) const {
  switch (objective_) {
    case Objective::step_time: return time.value;
    case Objective::tokens_per_s_per_gpu: return gpus * time.value / tokens_;
    case Objective::cost: return gpus * time.value * *price_ / tokens_;
    case Objective::energy: return gpus * time.value * watts_ / tokens_;
    case Objective::memory: return peak.value;
  }
  return 0;
}

Score Judge::score(int gpus, hw::Seconds time, hw::Bytes peak) const {
  const double by_objective = value(gpus, time, peak);
  if (fewest_gpus_) return {static_cast<double>(gpus), by_objective};
  return {by_objective, objective_ == Objective::memory ? time.value : 0};
}

std::optional<double> Judge::cost_per_million_tokens(int gpus, hw::Seconds time) const {
  if (!price_) return {};
  return gpus * time.value / kHour * *price_ / tokens_ * kMillion;
}

std::optional<double> Judge::watt_hours_per_million_tokens(int gpus, hw::Seconds time) const {
  if (watts_ <= 0) return {};
  return gpus * time.value / kHour * watts_ / tokens_ * kMillion;
}

std::optional<double> Judge::days(hw::Seconds time) const {
  if (!goal_) return {};
  return goal_->tokens / tokens_ * time.value / kDay;
}

std::optional<double> Judge::cost_of_goal(int gpus, hw::Seconds time) const {
  if (!goal_ || !price_) return {};
  return gpus * goal_->tokens / tokens_ * time.value / kHour * *price_;
}

}  // namespace search
