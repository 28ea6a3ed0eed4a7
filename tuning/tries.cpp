#include "tuning/tries.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "calibration/layout_correction.h"
#include "tuning/step_statistics.h"

namespace tuning {
namespace {

constexpr double kInterval80 = 1.2816;  ///< deviations of a normal distribution
constexpr double kInterval95 = 1.96;
constexpr std::size_t kFinalists = 3;   ///< run again, in turns
constexpr double kFinalistReach = 0.1;  ///< those whose time is above the best by more are none
constexpr int kFinalRounds = 2;         ///< times the plan's rounds

class TryLoop {
 public:
  TryLoop(const Proposals& proposals, const TryPlan& plan, const Measure& measure)
      : proposals_(proposals), plan_(plan), measure_(measure), tried_(proposals.others.size() + 1) {
    std::vector<const models::Run*> runs;
    std::vector<const sim::Prediction*> predictions;
    for (std::size_t i = 0; i < tried_.size(); ++i) {
      runs.push_back(&layout(i).run);
      predictions.push_back(&layout(i).prediction);
    }
    layouts_ = calibration::described(runs, predictions);
  }

  Tries run() {
    if (!measure_own()) return std::move(tries_);
    for (int used = 0; used < plan_.most && !plan_.stop_asked();) {
      const std::optional<std::size_t> next = most_promising();
      if (!next) break;
      try_layout(*next);
      if (!tries_.trials.back().refused) ++used;
    }
    tries_.end = end();
    if (plan_.rounds > 1 && !plan_.stop_asked()) play_off();
    pick_best();
    refit();
    return std::move(tries_);
  }

 private:
  const Proposal& layout(std::size_t index) const { return index == 0 ? proposals_.own : proposals_.others[index - 1]; }

  bool measure_own() {
    plan_.note("the recipe's own layout");
    tried_[0] = true;
    Trial& own = tries_.trials.emplace_back();
    own.predicted = layout(0).prediction.step_time;
    Measurement result = measure_(layout(0));
    own.steps = std::move(result.steps);
    own.failure = std::move(result.failure);
    if (!own.failure.empty()) {
      tries_.end = plan_.stop_asked() ? TriesEnd::stopped : TriesEnd::recipe_failed;
      return false;
    }
    settle(own);
    own.time = own.median;
    return true;
  }

  /// The untried layout that may be fastest; nothing where none is worth a run. Fills Tries::left.
  std::optional<std::size_t> most_promising() {
    const std::vector<calibration::CorrectedTime> times = corrected();
    std::optional<std::size_t> best;
    double lowest = std::numeric_limits<double>::infinity(), lowest95 = lowest;
    for (std::size_t i = 0; i < tried_.size(); ++i) {
      if (tried_[i] || !layout(i).prediction.memory.fits()) continue;
      const double low = times[i].time.value * std::exp(-kInterval80 * times[i].deviation);
      lowest95 = std::min(lowest95, times[i].time.value * std::exp(-kInterval95 * times[i].deviation));
      if (low >= lowest) continue;
      lowest = low;
      best = i;
    }
    tries_.left = best ? std::max(0.0, best_of_tried(times) / lowest95 - 1) : 0;
    return tries_.left > plan_.enough ? best : std::nullopt;
  }

  void try_layout(std::size_t index) {
    tried_[index] = true;
    plan_.note("layout " + std::to_string(tries_.trials.size()));
    Trial trial{.layout = index, .predicted = layout(index).prediction.step_time};
    std::vector<double> ratios;
    for (int round = 0; round < plan_.rounds && trial.failure.empty(); ++round) {
      std::vector<double> own = tries_.trials[0].steps;
      if (plan_.rounds > 1) {
        own = measure_(layout(0)).steps;
        add(own, tries_.trials[0].steps);
      }
      Measurement result = measure_(layout(index));
      trial.failure = std::move(result.failure);
      trial.refused = result.refused;
      if (trial.failure.empty() && !own.empty()) ratios.push_back(undisturbed(result.steps) / undisturbed(own));
      add(result.steps, trial.steps);
    }
    if (trial.failure.empty() && !ratios.empty()) {
      trial.ratio = median(ratios);
      settle(trial);
      if (ratios.size() > 1) trial.deviation = median_deviation(ratios);
    }
    tries_.trials.push_back(std::move(trial));
    settle(tries_.trials[0]);
    for (Trial& each : tries_.trials) each.time = each.ratio * tries_.trials[0].median;
  }

  static void add(const std::vector<double>& steps, std::vector<double>& all) {
    all.insert(all.end(), steps.begin(), steps.end());
  }

  static void settle(Trial& trial) {
    trial.median = {median(trial.steps)};
    trial.spread = spread(trial.steps);
    trial.deviation = median_deviation(trial.steps);
  }

  std::vector<calibration::CorrectedTime> corrected() const {
    std::vector<calibration::MeasuredLayout> measured;
    for (const Trial& trial : tries_.trials)
      if (trial.failure.empty()) measured.push_back({trial.layout, trial.time, trial.deviation});
    return calibration::corrected(layouts_, measured, proposals_.spread);
  }

  /// Of the corrected times: a single run may have been lucky.
  double best_of_tried(const std::vector<calibration::CorrectedTime>& times) const {
    double best = std::numeric_limits<double>::infinity();
    for (const Trial& trial : tries_.trials)
      if (trial.failure.empty()) best = std::min(best, times[trial.layout].time.value);
    return best;
  }

  double best_time() const {
    double best = std::numeric_limits<double>::infinity();
    for (const Trial& trial : tries_.trials)
      if (trial.failure.empty()) best = std::min(best, trial.time.value);
    return best;
  }

  TriesEnd end() {
    if (plan_.stop_asked()) return TriesEnd::stopped;
    if (std::ranges::find(tried_, false) == tried_.end()) return TriesEnd::nothing_left;
    return most_promising() ? TriesEnd::all_used : TriesEnd::certain;
  }

  /// The best few take turns, so that none has the machine's better minutes.
  void play_off() {
    std::vector<Trial*> finalists;
    for (Trial& trial : tries_.trials)
      if (trial.failure.empty() && trial.time.value <= (1 + kFinalistReach) * best_time()) finalists.push_back(&trial);
    std::ranges::stable_sort(finalists, {}, [](const Trial* trial) { return trial->time; });
    if (finalists.size() > kFinalists) finalists.resize(kFinalists);
    if (finalists.size() < 2) return;
    plan_.note("the best " + std::to_string(finalists.size()) + " again, in turns");
    const hw::Seconds first = finalists.front()->time;
    std::vector<std::vector<double>> times(finalists.size());
    for (int round = 0; round < kFinalRounds * plan_.rounds && !plan_.stop_asked(); ++round) {
      for (std::size_t i = 0; i < finalists.size(); ++i) {
        const Measurement result = measure_(layout(finalists[i]->layout));
        if (result.failure.empty()) times[i].push_back(undisturbed(result.steps));
      }
    }
    rank(finalists, times, first);
  }

  /// Times of finalists relative to the first, round by round.
  static void rank(const std::vector<Trial*>& finalists, const std::vector<std::vector<double>>& times,
                   hw::Seconds first) {
    for (std::size_t i = 1; i < finalists.size(); ++i) {
      std::vector<double> ratios;
      for (std::size_t round = 0; round < std::min(times[0].size(), times[i].size()); ++round)
        ratios.push_back(times[i][round] / times[0][round]);
      if (ratios.empty()) continue;
      finalists[i]->ratio *= median(ratios) * (first / finalists[i]->time);
      finalists[i]->time = median(ratios) * first;
      finalists[i]->deviation = median_deviation(ratios);
    }
  }

  void pick_best() {
    for (std::size_t i = 0; i < tries_.trials.size(); ++i) {
      const Trial& trial = tries_.trials[i];
      if (!trial.failure.empty()) continue;
      if (!tries_.pick || trial.time < tries_.trials[*tries_.pick].time) tries_.pick = i;
    }
  }

  void refit() {
    const std::vector<calibration::CorrectedTime> times = corrected();
    for (Trial& trial : tries_.trials) trial.refitted = times[trial.layout].time;
  }

  const Proposals& proposals_;
  const TryPlan& plan_;
  const Measure& measure_;
  std::vector<bool> tried_;
  std::vector<calibration::CorrectedLayout> layouts_;
  Tries tries_;
};

}  // namespace

Tries try_layouts(const Proposals& proposals, const TryPlan& plan, const Measure& measure) {
  return TryLoop(proposals, plan, measure).run();
}

}  // namespace tuning
