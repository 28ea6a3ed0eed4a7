#include "search/explore.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/enumerable_thread_specific.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <optional>

#include "models/schedule.h"
#include "search/judge.h"
#include "sim/shared_blocks.h"

namespace search {
namespace {

/// Groups between two moments at which all threads learn what was found: more as the search goes on, and the same for
/// any number of threads, so that the answer is too.
constexpr std::size_t kFirstBatch = 32, kLargestBatch = 512;

std::size_t batch_at(std::size_t first, std::size_t groups) {
  return std::min(std::clamp(first, kFirstBatch, kLargestBatch), groups - first);
}

Found nothing(const Query& query) {
  return {
      .counts = {}, .best = Ranking(static_cast<std::size_t>(query.rerank)), .front = {}, .misses = Ranking(kMisses)};
}

/// Looks at the layouts of one group. `known` is what was found before, for pruning.
class GroupSearch {
 public:
  GroupSearch(const Query& query, const Space& space, const Judge& judge, const hw::Efficiency& efficiency,
              const Found& known, sim::SchedulePlans& plans)
      : query_(query), space_(space), judge_(judge), efficiency_(efficiency), known_(known), plans_(plans) {}

  Found search(const Group& group, std::int64_t index) {
    models::Run run = space_.setting(group.setting).base();
    candidate_.setting = group.setting;
    candidate_.group = index;
    space_.each(group, run, [&](const models::LayoutKeys& keys, const models::Run& laid_out) {
      candidate_.keys = keys;
      candidate_.place = found_.counts.legal++;
      look_at(laid_out);
    });
    return std::move(found_);
  }

 private:
  void look_at(const models::Run& run) {
    if (!blocks_) blocks_.emplace(run, efficiency_, plans_);
    const bool orders_depend_on_times = models::splits_backward(run.layout.schedule);
    if (orders_depend_on_times) {
      const sim::Forecast forecast = blocks_->forecast(run);
      candidate_.peak = forecast.peak;
      candidate_.time = forecast.step_time;
    } else {
      candidate_.peak = *blocks_->peak(run);
    }
    const bool fits = candidate_.peak <= judge_.room();
    if (!fits) ++found_.counts.too_large;
    if (candidate_.peak > judge_.near_miss()) return;
    if (!orders_depend_on_times) {
      if (query_.prune && (is_hopeless(fits, false) || is_hopeless(fits, true))) {
        found_.counts.pruned += fits;
        return;
      }
      candidate_.time = blocks_->step_time();
    }
    candidate_.score = score(candidate_.time);
    if (!fits) return found_.misses.add(candidate_);
    add();
  }

  void add() {
    ++found_.counts.timed;
    found_.counts.faster += candidate_.time < faster_than_;
    if (!judge_.reaches_goal(candidate_.time)) {
      ++found_.counts.too_slow;
      return;
    }
    found_.best.add(candidate_);
    found_.front.add(candidate_);
  }

  Score score(hw::Seconds time) const { return judge_.score(candidate_.keys.gpus, time, candidate_.peak); }

  /// Whether a bound of the step time shows that the layout changes nothing.
  bool is_hopeless(bool fits, bool closer) {
    const hw::Seconds least = blocks_->least_step_time(closer);
    if (fits && least < faster_than_) return false;
    const Score at_best = score(least);
    if (!judge_.reaches_goal(least)) return true;
    if (!fits) return known_.misses.excludes(at_best) || found_.misses.excludes(at_best);
    const bool ranked = known_.best.excludes(at_best) || found_.best.excludes(at_best);
    return ranked && (known_.front.excludes(least, candidate_.peak) || found_.front.excludes(least, candidate_.peak));
  }

  const Query& query_;
  const Space& space_;
  const Judge& judge_;
  const hw::Efficiency& efficiency_;
  const Found& known_;
  sim::SchedulePlans& plans_;
  /// Sums of the same terms in another order differ by less: a layout is not faster than itself.
  static constexpr double kRounding = 1e-9;
  hw::Seconds faster_than_ = (1 - kRounding) * query_.count_faster_than.value_or(hw::Seconds{});
  std::optional<sim::SharedBlocks> blocks_;
  Found found_ = nothing(query_);
  Candidate candidate_;
};

void add(Found& sum, const Found& more) {
  sum.counts.add(more.counts);
  sum.best.add(more.best);
  sum.front.add(more.front);
  sum.misses.add(more.misses);
}

std::vector<std::size_t> groups_of_shard(const Query& query, const Space& space) {
  std::vector<std::size_t> groups;
  const auto of = static_cast<std::size_t>(query.shard.of);
  for (auto i = static_cast<std::size_t>(query.shard.index - 1); i < space.groups().size(); i += of)
    groups.push_back(i);
  return groups;
}

std::vector<Judge> judges_of(const Query& query, const Space& space) {
  std::vector<Judge> judges;
  for (int i = 0; i < space.settings(); ++i) {
    const models::Run& run = space.setting(i).base();
    judges.emplace_back(query, run.cluster, run.layout.gbs, run.layout.seq_len);
  }
  return judges;
}

}  // namespace

void Counts::add(const Counts& other) {
  legal += other.legal;
  timed += other.timed;
  pruned += other.pruned;
  too_large += other.too_large;
  too_slow += other.too_slow;
  faster += other.faster;
}

Found explore(const Query& query, const Space& space, const std::vector<hw::Efficiency>& efficiencies, int threads,
              const Progress& progress) {
  namespace tbb = oneapi::tbb;
  const std::vector<std::size_t> groups = groups_of_shard(query, space);
  const std::vector<Judge> judges = judges_of(query, space);
  Found found = nothing(query);
  found.groups = static_cast<std::int64_t>(groups.size());
  tbb::enumerable_thread_specific<sim::SchedulePlans> plans;
  tbb::task_arena arena(threads > 0 ? threads : tbb::task_arena::automatic);
  std::vector<Found> batch;
  for (std::size_t first = 0, size = 0; first < groups.size(); first += size) {
    if (progress.stop && *progress.stop) break;
    size = batch_at(first, groups.size());
    batch.assign(size, nothing(query));
    const auto search = [&](std::size_t i) {
      const std::size_t index = groups[first + i];
      const Group& group = space.groups()[index];
      const auto setting = static_cast<std::size_t>(group.setting);
      GroupSearch one(query, space, judges[setting], efficiencies[setting], found, plans.local());
      batch[i] = one.search(group, static_cast<std::int64_t>(index));
    };
    arena.execute([&] {
      tbb::parallel_for(tbb::blocked_range<std::size_t>(0, size, 1), [&](const auto& range) {
        for (std::size_t i = range.begin(); i < range.end(); ++i) search(i);
      });
    });
    for (const Found& each : batch) add(found, each);
    found.groups_done += static_cast<std::int64_t>(size);
    if (progress.report) progress.report(found);
  }
  return found;
}

}  // namespace search
