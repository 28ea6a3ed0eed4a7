#include "search/balance.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "search/placement.h"

namespace search {
namespace {

/// Times that differ by less come out of the same sums in another order.
constexpr double kRounding = 1e-9;
/// Gains below this are no reason to move layers.
constexpr double kWorthMoving = 1e-3;
/// Of the closed form's best, those that events order again.
constexpr std::size_t kPredictedByEvents = 6;

/// Smaller is better: what is missing in memory, then the step, then how uneven the stages are.
struct Judged {
  double missing = 0, time = 0, spread = 0, peak = 0;

  bool better_than(const Judged& other) const {
    if (missing != other.missing) return missing < other.missing;
    if (std::abs(time - other.time) > kRounding * other.time) return time < other.time;
    return spread < (1 - kRounding) * other.spread;
  }
};

class Balancer {
 public:
  Balancer(const models::Run& run, const hw::Efficiency& efficiency, hw::Bytes room)
      : run_(run), blocks_(run, efficiency, plans_), room_(room) {}

  void judge_all() {
    ChunkSizes sizes = first_placement(elements(run_.model), static_cast<int>(run_.layout.chunks.size()));
    do judge(sizes);
    while (next_placement(sizes));
  }

  void descend(ChunkSizes sizes) {
    Judged now = judge(sizes);
    while (const auto next = best_move(sizes, now)) now = judge(sizes = *next);
  }

  Placements best(std::size_t keep) const {
    std::vector<const std::pair<const ChunkSizes, Judged>*> order;
    for (const auto& each : known_) order.push_back(&each);
    std::ranges::stable_sort(order, [](const auto* a, const auto* b) {
      const Judged &x = a->second, &y = b->second;
      return std::tie(x.missing, x.time, x.spread) < std::tie(y.missing, y.time, y.spread);
    });
    order.resize(std::min(order.size(), keep));
    Placements found{.best = {}, .judged = static_cast<int>(times_.size())};
    for (const auto* each : order)
      found.best.push_back({chunks_of(each->first, run_.model), {each->second.time}, {each->second.peak}});
    return found;
  }

 private:
  /// Every move of one element from one chunk to another, those between making way.
  std::optional<ChunkSizes> best_move(const ChunkSizes& sizes, const Judged& now) {
    std::optional<ChunkSizes> best;
    Judged best_judged = now;
    for (std::size_t from = 0; from < sizes.size(); ++from) {
      for (std::size_t to = 0; to < sizes.size(); ++to) {
        if (from == to || sizes[from] == 1) continue;
        ChunkSizes moved = sizes;
        --moved[from];
        ++moved[to];
        if (best_judged.missing == 0 && time_of(moved) > (1 + kRounding) * best_judged.time) continue;
        const Judged judged = judge(moved);
        if (!judged.better_than(best_judged)) continue;
        best_judged = judged;
        best = std::move(moved);
      }
    }
    return best;
  }

  void place(const ChunkSizes& sizes) { run_.layout.chunks = chunks_of(sizes, run_.model); }

  double time_of(const ChunkSizes& sizes) {
    const auto known = times_.find(sizes);
    if (known != times_.end()) return known->second;
    place(sizes);
    return times_.emplace(sizes, blocks_.step_time(run_).value).first->second;
  }

  Judged judge(const ChunkSizes& sizes) {
    const auto known = known_.find(sizes);
    if (known != known_.end()) return known->second;
    Judged judged{.time = time_of(sizes)};
    place(sizes);
    const auto peak = blocks_.peak(run_);
    judged.peak = peak ? peak->value : blocks_.forecast(run_).peak.value;
    judged.missing = std::max(0.0, judged.peak - room_.value);
    for (const hw::Seconds each : blocks_.stage_work()) judged.spread += each.value * each.value;
    return known_.emplace(sizes, judged).first->second;
  }

  models::Run run_;
  sim::SchedulePlans plans_;
  sim::SharedBlocks blocks_;
  hw::Bytes room_;
  std::map<ChunkSizes, double> times_;
  std::map<ChunkSizes, Judged> known_;
};

/// Even placements to start from, the framework's own among them.
std::vector<std::vector<models::StageChunk>> even_placements(const models::Run& run) {
  const int stages = static_cast<int>(run.layout.chunks.size());
  const int layers = static_cast<int>(run.model.layers.size());
  std::vector<std::vector<models::StageChunk>> even;
  if (stages <= layers) even.push_back(models::split_stages(run.model, stages, false));
  if (stages <= layers + 2) even.push_back(models::split_stages(run.model, stages, true));
  return even;
}

bool together(const std::vector<models::StageChunk>& chunks) {
  return std::ranges::count_if(chunks, [](const models::StageChunk& chunk) { return chunk.mtp > 0; }) <= 1;
}

bool is_placement(const ChunkSizes& sizes) {
  return std::ranges::all_of(sizes, [](int size) { return size > 0; });
}

PlacedRun placed(const models::Run& run, const hw::Efficiency& efficiency) {
  sim::SchedulePlans plans;
  sim::SharedBlocks blocks(run, efficiency, plans);
  PlacedRun placed{
      .run = run, .prediction = sim::predict(run, efficiency, sim::Tier::events), .stages = blocks.stage_loads(run)};
  return placed;
}

/// By events; memory that is missing first.
bool better(const PlacedRun& a, const PlacedRun& b, hw::Bytes room) {
  const auto missing = [&](const PlacedRun& run) { return std::max(hw::Bytes{}, run.prediction.memory.peak - room); };
  return std::pair(missing(a), a.prediction.step_time) < std::pair(missing(b), b.prediction.step_time);
}

}  // namespace

Placements balance(const models::Run& run, const hw::Efficiency& efficiency, hw::Bytes room, std::size_t keep,
                   long judge_all) {
  Balancer balancer(run, efficiency, room);
  const int chunks = static_cast<int>(run.layout.chunks.size());
  const bool all = placements(elements(run.model), chunks, judge_all) < judge_all;
  if (all) {
    balancer.judge_all();
  } else {
    std::vector<std::vector<models::StageChunk>> starts = even_placements(run);
    if (together(run.layout.chunks)) starts.push_back(run.layout.chunks);
    for (const auto& start : starts)
      if (const ChunkSizes sizes = sizes_of(start, run.model); is_placement(sizes)) balancer.descend(sizes);
  }
  Placements found = balancer.best(keep);
  found.all = all;
  return found;
}

Balanced balance_run(const models::Run& run, const hw::Efficiency& efficiency, hw::Bytes room) {
  models::Run known = sim::lower_to_fit(run).run;
  known.recompute_known = true;  // what fits before is kept for all placements
  Balanced balanced{.before = placed(known, efficiency), .after = {}, .room = room};
  const sim::Memory& memory = balanced.before.prediction.memory;
  if (memory.fits()) balanced.room = std::max(room, memory.peak);
  balanced.after = balanced.before;
  const Placements found = balance(known, efficiency, balanced.room, kPredictedByEvents);
  std::vector<std::vector<models::StageChunk>> candidates = even_placements(known);
  for (const Placement& each : found.best) candidates.push_back(each.chunks);
  for (const auto& chunks : candidates) {
    models::Run moved = known;
    moved.layout.chunks = chunks;
    PlacedRun candidate = placed(moved, efficiency);
    if (better(candidate, balanced.after, balanced.room)) balanced.after = std::move(candidate);
  }
  const double gain = balanced.before.prediction.step_time / balanced.after.prediction.step_time - 1;
  const bool fitted = balanced.before.prediction.memory.peak <= balanced.room;
  if (fitted && gain < kWorthMoving) balanced.after = balanced.before;
  balanced.judged = found.judged;
  balanced.all = found.all;
  return balanced;
}

}  // namespace search
