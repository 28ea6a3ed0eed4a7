#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "hw/units.h"
#include "models/layout.h"
#include "models/schedule.h"
#include "sim/pipeline.h"
#include "sim/pipeline_plan.h"

namespace sim {

using models::Layout;
using models::Schedule;

namespace {

double size(std::size_t count) { return static_cast<double>(count); }
double larger(double a, double b) { return std::max(a, b); }

bool one_forward_one_backward(Schedule schedule) {
  return schedule == Schedule::one_f_one_b || schedule == Schedule::interleaved;
}

bool no_sends(const PipelineTimes& times) { return times.send_forward.value == 0 && times.send_backward.value == 0; }

/// Equal chunks, no transfers to wait for, no extras.
bool regular(const PipelineTimes& times) {
  const ChunkTimes& first = times.chunks.front();
  if (!no_sends(times) || times.merge_ep) return false;
  return std::all_of(times.chunks.begin(), times.chunks.end(), [&](const ChunkTimes& chunk) {
    return chunk.forward == first.forward && chunk.backward == first.backward && chunk.first_forward_extra.value == 0 &&
           chunk.last_backward_extra.value == 0;
  });
}

/// GPipe with one chunk a stage is two flow shops of m equal jobs, one after the other. A longest path goes through the
/// stages with the first job (which may have extras), stays at one stage for all others, and goes on with the last.
double gpipe_makespan(const PipelineTimes& times, int microbatches) {
  const std::size_t stages = times.chunks.size();
  double forwards = 0, slowest = 0, after = 0;  // from stage s on, without extras: path and slowest
  for (std::size_t s = stages; s-- > 0;) {
    const ChunkTimes& chunk = times.chunks[s];
    slowest = std::max(slowest, chunk.forward.value);
    after += chunk.forward.value;
    double before = chunk.first_forward_extra.value;  // the first job up to here; its forward here is in `after`
    for (std::size_t i = 0; i < s; ++i) before += (times.chunks[i].forward + times.chunks[i].first_forward_extra).value;
    if (microbatches > 1) before += chunk.forward.value;  // the first job here, then the others from here on
    forwards = std::max(forwards, before + after + std::max(0, microbatches - 2) * slowest);
    if (microbatches == 1 && s + 1 == stages) break;
  }
  double backwards = 0, path = 0;
  slowest = 0;
  for (std::size_t s = stages; s-- > 0;) {
    const ChunkTimes& chunk = times.chunks[s];
    path += chunk.backward.value + (s + 1 < stages ? times.send_backward.value : 0.0);
    slowest = std::max(slowest, chunk.backward.value);
    backwards = std::max(backwards, path + (microbatches - 1) * slowest + chunk.last_backward_extra.value);
  }
  return forwards + size(stages - 1) * times.send_forward.value + backwards;
}

std::optional<double> closed_form(const Layout& layout, const PipelineTimes& times, int microbatches) {
  if (layout.schedule == Schedule::gpipe && layout.vp == 1 && (times.send_overlapped || no_sends(times)))
    return gpipe_makespan(times, microbatches);
  if (!one_forward_one_backward(layout.schedule) || !regular(times)) return {};
  if (layout.vp > 1 && microbatches % layout.pp != 0) return {};
  const double both = (times.chunks.front().forward + times.chunks.front().backward).value;
  return (static_cast<double>(microbatches) * layout.vp + layout.pp - 1) * both;
}

/// A steady microbatch takes the slowest stage at least its tasks and the transfers that hold up its stream.
double slowest_stage(const Layout& layout, const PipelineTimes& times) {
  std::vector<double> work(static_cast<std::size_t>(layout.pp));
  const hw::Seconds forward = times.send_forward, backward = times.send_backward;
  const bool split = splits_backward(layout.schedule);  // whose turn of the V has no transfer
  for (std::size_t c = 0; c < times.chunks.size(); ++c) {
    const ChunkTimes& chunk = times.chunks[c];
    const bool merged = times.merge_ep && chunk.merged.value > 0;
    hw::Seconds least = merged ? chunk.merged : chunk.forward + chunk.backward;
    if (split) least = chunk.forward + chunk.input_grad + chunk.weight_grad;
    const bool inner = layout.pp > 1 && c > 0 && c + 1 < times.chunks.size();
    if (!times.send_overlapped && inner && !split)
      least += times.merge_ep ? std::max(forward, backward) : forward + backward;
    work[static_cast<std::size_t>(layout.stage_of_chunk(static_cast<int>(c)))] += least.value;
  }
  return *std::max_element(work.begin(), work.end());
}

/// 1F1B with one chunk a stage: stage s starts a forward only after the backward of pp - s microbatches before, which
/// went through all later stages and back. That is where asynchronous transfers show.
double slowest_round_trip(const PipelineTimes& times) {
  double slowest = 0, round_trip = 0, in_flight = 0;
  for (std::size_t s = times.chunks.size(); s-- > 0;) {
    round_trip += (times.chunks[s].forward + times.chunks[s].backward).value;
    slowest = std::max(slowest, round_trip / ++in_flight);
    round_trip += (times.send_forward + times.send_backward).value;
  }
  return slowest;
}

/// GPipe: a stage's turn takes all microbatches. The longest path stays at one stage a turn; between two turns it can
/// only go down the pipeline (forwards) or up (backwards), with a single microbatch.
double gpipe_period(const Layout& layout, const PipelineTimes& times) {
  const auto stages = static_cast<std::size_t>(layout.pp);
  const double held = layout.pp > 1 && !times.send_overlapped ? 1 : 0;
  std::vector<double> path(stages);
  for (std::size_t c = 0; c < times.chunks.size(); ++c) {
    if (c % stages == 0) std::inclusive_scan(path.begin(), path.end(), path.begin(), larger);
    path[c % stages] += times.chunks[c].forward.value + held * times.send_forward.value;
  }
  std::inclusive_scan(path.begin(), path.end(), path.begin(), larger);
  for (std::size_t c = times.chunks.size(); c-- > 0;) {
    if (c % stages == stages - 1) std::inclusive_scan(path.rbegin(), path.rend(), path.rbegin(), larger);
    path[c % stages] += times.chunks[c].backward.value + held * times.send_backward.value;
  }
  return *std::max_element(path.begin(), path.end());
}

/// What a microbatch more costs at least, however many there are.
double least_period(const Layout& layout, const PipelineTimes& times) {
  if (layout.schedule == Schedule::gpipe) return gpipe_period(layout, times);
  const double stage = slowest_stage(layout, times);
  return layout.vp == 1 && !times.merge_ep ? std::max(stage, slowest_round_trip(times)) : stage;
}

struct ShortPlay {
  PipelineCost cost;
  double period = 0;  ///< one microbatch's share of the last `window` before the cool-down
};

/// The last stage's cool-down is the shortest: its last chunk's backwards are steady but for the last group.
ShortPlay play(const Layout& layout, const PipelineTimes& times, int microbatches, int group, int window,
               PipelinePlans& plans) {
  const PipelinePlan& plan = plans.of(layout, microbatches, times.merge_ep);
  PipelinePlayer& player = plans.player();
  player.play(layout, plan, times);
  ShortPlay result{{{player.makespan()}, {player.longest_span()}, {}}, 0};
  const int chunk = static_cast<int>(times.chunks.size()) - 1, later = microbatches - group - 1;
  const auto end = [&](int i) { return player.end(plan.backward_id(chunk, i)); };
  if (later >= window) result.period = (end(later) - end(later - window)) / window;
  return result;
}

/// Zero-bubble schedules are laid out for these times, and repeat on the first stage until its last forward.
ShortPlay play_zero_bubble(const Layout& layout, const PipelineTimes& times, int microbatches, int window) {
  auto orders = models::pipeline_schedule(layout, microbatches, phase_times(times), times.merge_ep);
  const PipelinePlan plan(layout, orders, times.merge_ep);
  PipelinePlayer player;
  player.play(layout, plan, times);
  ShortPlay result{{{player.makespan()}, {player.longest_span()}, std::move(orders)}, 0};
  const int later = microbatches - 1;
  const auto end = [&](int i) { return player.end(plan.forward_id(0, i)); };
  if (later >= window) result.period = (end(later) - end(later - window)) / window;
  return result;
}

PipelineCost lengthened(ShortPlay shorter, double by) {
  shorter.cost.makespan += {by};
  shorter.cost.longest_span += {by};
  return std::move(shorter.cost);
}

/// Zero-bubble schedules are short to lay out and cheap to play, as their steady states are copied (zero_bubble.cpp).
/// Of uneven stages the slowest makes itself felt at all others only after many microbatches.
PipelineCost zero_bubble_cost(const Layout& layout, const PipelineTimes& times, int microbatches) {
  const int played = std::max(12 * layout.pp, 96);
  if (microbatches <= played) return play_zero_bubble(layout, times, microbatches, 1).cost;
  ShortPlay shorter = play_zero_bubble(layout, times, played, played / 3);
  const double period = std::max(shorter.period, slowest_stage(layout, times));
  return lengthened(std::move(shorter), period * (microbatches - played));
}

}  // namespace

models::PhaseTimes phase_times(const PipelineTimes& times) {
  if (!times.profiled) return {};
  models::PhaseTimes sum{0, 0, 0, 0};
  for (const ChunkTimes& chunk : times.chunks) {
    sum.forward += chunk.forward.value;
    sum.input_grad += chunk.input_grad.value;
    sum.weight_grad += chunk.weight_grad.value;
  }
  const double count = size(times.chunks.size());
  const double send = (times.send_forward + times.send_backward).value / 2;
  return {sum.forward / count, sum.input_grad / count, sum.weight_grad / count, send};
}

PipelineCost pipeline_formula(const Layout& layout, const PipelineTimes& times, int microbatches) {
  PipelinePlans plans;
  return pipeline_formula(layout, times, microbatches, plans);
}

PipelineCost pipeline_formula(const Layout& layout, const PipelineTimes& times, int microbatches,
                              PipelinePlans& plans) {
  if (const auto exact = closed_form(layout, times, microbatches)) return {{*exact}, {*exact}, {}};
  if (splits_backward(layout.schedule)) return zero_bubble_cost(layout, times, microbatches);
  const int played_groups = std::max(4, 32 / layout.pp);  // short pipelines take more rounds to settle, and cost less
  const int groups = microbatches / layout.pp;
  if (groups <= played_groups) return play(layout, times, microbatches, layout.pp, 1, plans).cost;
  // As many groups of the same sizes as there are played: the smaller ones, after one of the larger if there are any.
  const int group = layout.vp == 1 ? layout.pp : microbatches / groups;
  const int played = played_groups * group + (layout.vp > 1 && microbatches % groups > 0 ? 1 : 0);
  ShortPlay shorter = play(layout, times, played, group, group * ((played_groups - 2) / 2), plans);
  if (layout.schedule == Schedule::gpipe) {  // phases far apart: no single task shows the period
    const PipelineCost before = play(layout, times, played - group, group, group, plans).cost;
    shorter.period = (shorter.cost.makespan - before.makespan).value / group;
  }
  const double period = std::max(shorter.period, least_period(layout, times));
  return lengthened(std::move(shorter), period * (microbatches - played));
}

}  // namespace sim
