#include "tuning/exhaustive.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "tuning/step_statistics.h"

namespace tuning {
namespace {

/// Logarithm of the undisturbed step time of each layout that ran.
using Round = std::map<std::size_t, double>;

/// Runs all of them once, from `first` on; those that fail are taken out of `layouts`.
Round run_round(const Proposals& proposals, std::vector<std::size_t>& layouts, std::size_t first, const TryPlan& plan,
                const Measure& measure) {
  Round round;
  std::rotate(layouts.begin(), layouts.begin() + static_cast<std::ptrdiff_t>(first % layouts.size()), layouts.end());
  for (const std::size_t layout : layouts) {
    if (plan.stop_asked()) break;
    const Measurement result = measure(layout == 0 ? proposals.own : proposals.others[layout - 1]);
    if (result.failure.empty()) round[layout] = std::log(undisturbed(result.steps));
  }
  std::erase_if(layouts, [&](std::size_t layout) { return !round.contains(layout); });
  return round;
}

double mean(const Round& round) {
  double sum = 0;
  for (const auto& [layout, time] : round) sum += time;
  return sum / static_cast<double>(round.size());
}

/// How far the medians of odd and of even rounds are apart, as a ratio less 1.
double halves_apart(const std::vector<double>& times) {
  std::vector<double> halves[2];
  for (std::size_t i = 0; i < times.size(); ++i) halves[i % 2].push_back(times[i]);
  if (halves[1].empty()) return 0;
  return std::exp(std::abs(median(halves[0]) - median(halves[1]))) - 1;
}

}  // namespace

std::vector<Ranked> run_all(const Proposals& proposals, const TryPlan& plan, int rounds, const Measure& measure) {
  std::vector<std::size_t> layouts;
  for (std::size_t i = 0; i <= proposals.others.size(); ++i) layouts.push_back(i);
  std::map<std::size_t, std::vector<double>> relative;
  std::vector<double> means;
  for (int i = 0; i < rounds && !plan.stop_asked() && !layouts.empty(); ++i) {
    plan.note("all " + std::to_string(layouts.size()) + " layouts, round " + std::to_string(i + 1));
    const std::size_t step = std::max<std::size_t>(1, layouts.size() / static_cast<std::size_t>(rounds));
    const Round round = run_round(proposals, layouts, step, plan, measure);
    if (plan.stop_asked() || round.empty()) break;
    means.push_back(mean(round));
    for (const auto& [layout, time] : round) relative[layout].push_back(time - means.back());
  }
  std::vector<Ranked> ranked;
  if (means.empty()) return ranked;
  const double level = median(means);
  for (const auto& [layout, times] : relative)
    ranked.push_back({layout, std::exp(median(times) + level), halves_apart(times)});
  std::ranges::stable_sort(ranked, {}, &Ranked::time);
  return ranked;
}

}  // namespace tuning
