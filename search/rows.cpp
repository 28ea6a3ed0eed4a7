#include "search/rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "models/run.h"

namespace search {
namespace {

/// Something slower by `factor`: what the intervals of predictions may be due to.
using Slower = void (*)(hw::Efficiency& efficiency, double factor);

void slower_links(hw::Efficiency& e, double factor) {
  e.nvlink_rate /= factor;
  e.nic_fraction /= factor;
  e.dispatch_nvlink = e.dispatch_nvlink / factor;
  e.dispatch_nic_fraction /= factor;
  e.send_fraction /= factor;
}
void slower_math(hw::Efficiency& e, double factor) { e.sustained /= factor; }
void slower_memory(hw::Efficiency& e, double factor) {
  for (auto* fractions : {&e.pointwise_forward, &e.pointwise_backward})
    for (double& fraction : *fractions) fraction /= factor;
}
void slower_host(hw::Efficiency& e, double factor) { e.host_op_factor *= factor; }

constexpr std::array<Slower, 4> kSlower{slower_links, slower_math, slower_memory, slower_host};

hw::Seconds worst_time(const Row& row, const hw::Efficiency& efficiency) {
  const double factor = std::exp(layout_half_width(row.run, efficiency));
  hw::Seconds worst = row.prediction.step_time;
  for (const Slower slower : kSlower) {
    hw::Efficiency changed = efficiency;
    slower(changed, factor);
    worst = std::max(worst, sim::predict(row.run, changed, sim::Tier::closed_form).step_time);
  }
  return worst;
}

bool ties(const Row& row, const Row& first, const Query& query, double width) {
  if (query.objective == Objective::memory) return false;
  if (query.fewest_gpus && row.score.first != first.score.first) return false;
  const double mine = query.fewest_gpus ? row.score.second : row.score.first;
  const double best = query.fewest_gpus ? first.score.second : first.score.first;
  return mine <= best * std::exp(width);
}

void mark_ties(Answer& answer, RowMaker& maker) {
  Row* robust = nullptr;
  for (Row& row : answer.rows) {
    const hw::Efficiency& efficiency = maker.efficiency(row.run.cluster);
    row.tie = &row != &answer.rows.front() &&
              ties(row, answer.rows.front(), answer.query, layout_half_width(row.run, efficiency));
    if (!row.tie && &row != &answer.rows.front()) continue;
    const Judge judge(answer.query, row.run.cluster, row.run.layout.gbs, row.run.layout.seq_len);
    row.worst = judge.score(row.run.layout.gpus, worst_time(row, efficiency), row.prediction.memory.peak);
    if (!robust || row.worst < robust->worst) robust = &row;
  }
  if (robust) robust->robust = true;
}

}  // namespace

double layout_half_width(const models::Run& run, const hw::Efficiency& efficiency) {
  if (!efficiency.intervals) return 0;
  return efficiency.intervals->layout[static_cast<std::size_t>(run.model.family())];
}

const hw::Efficiency& RowMaker::efficiency(const hw::Cluster& cluster) {
  const auto known = efficiencies_.find(cluster.name);
  if (known != efficiencies_.end()) return known->second;
  return efficiencies_.emplace(cluster.name, hw::parse_efficiency(profile_, cluster)).first->second;
}

Row RowMaker::row(const hw::Node& description, const Candidate& candidate) {
  models::Run run = models::parse_run(description, library_, false);
  const sim::Prediction prediction = sim::predict(run, efficiency(run.cluster), sim::Tier::events);
  const Judge judge(query_, run.cluster, run.layout.gbs, run.layout.seq_len);
  const int gpus = run.layout.gpus;
  const hw::Seconds time = prediction.step_time;
  return {.description = description,
          .run = std::move(run),
          .prediction = prediction,
          .candidate = candidate,
          .score = judge.score(gpus, time, prediction.memory.peak),
          .worst = {},
          .cost_per_million_tokens = judge.cost_per_million_tokens(gpus, time),
          .watt_hours_per_million_tokens = judge.watt_hours_per_million_tokens(gpus, time),
          .days = judge.days(time),
          .cost_of_goal = judge.cost_of_goal(gpus, time)};
}

void finish(Answer& answer, RowMaker& maker) {
  if (answer.rows.empty()) return;
  const Score first = answer.rows.front().score;  // of the closed form's best
  std::ranges::stable_sort(answer.rows, {}, &Row::score);
  const Score best = answer.rows.front().score;
  const bool by_second = answer.query.fewest_gpus;
  answer.closed_form_regret = by_second ? first.second / best.second - 1 : first.first / best.first - 1;
  mark_ties(answer, maker);
}

}  // namespace search
