#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "hw/units.h"
#include "models/layout.h"
#include "models/schedule.h"
#include "sim/pipeline.h"
#include "sim/pipeline_player.h"

namespace sim {

using models::Phase;
using models::PipelineTask;
using models::Schedule;

namespace {

constexpr double kNotYet = -1;

}  // namespace

PipelinePlayer::PipelinePlayer(const models::Layout& layout, const Orders& orders, const PipelineTimes& times)
    : orders_(orders), stages_(orders.size()), overlapped_(times.send_overlapped) {
  std::int32_t last = 0;
  for (const PipelineTask& task : orders.front()) last = std::max(last, task.microbatch);
  microbatches_ = static_cast<std::size_t>(last) + 1;
  half_ = times.chunks.size() * microbatches_;
  result_.assign(2 * half_, kNotYet);
  read_chunks(layout, times);
  merge_ = times.merge_ep && (layout.schedule == Schedule::one_f_one_b || layout.schedule == Schedule::interleaved);
  if (merge_)
    for (std::size_t s = 0; s < stages_.size(); ++s) find_steady(stages_[s], orders[s]);
}

void PipelinePlayer::read_chunks(const models::Layout& layout, const PipelineTimes& times) {
  const int count = static_cast<int>(times.chunks.size());
  ways_.resize(times.chunks.size() * kPhases);
  saving_.resize(times.chunks.size());
  for (int c = 0; c < count; ++c) {
    const ChunkTimes& in = times.chunks[static_cast<std::size_t>(c)];
    if (in.merged.value > 0) saving_[static_cast<std::size_t>(c)] = (in.forward + in.backward - in.merged).value;
    fill_durations(c, in);
    fill_results(c, c == 0, c + 1 == count);
    const int own = layout.stage_of_chunk(c);
    const auto connect = [&](int neighbour, Phase in_phase, Phase out_phase, double receive, double send) {
      const int stage = layout.stage_of_chunk(neighbour);
      way(c, out_phase).receiver = stage;
      if (stage == own) return;
      way(c, in_phase).receive = receive;
      way(c, out_phase).send = send;
    };
    const double forward = times.send_forward.value, backward = times.send_backward.value;
    for (const Phase back : {Phase::backward, Phase::input_grad}) {
      if (c > 0) connect(c - 1, Phase::forward, back, forward, backward);
      if (c + 1 < count) connect(c + 1, back, Phase::forward, backward, forward);
    }
  }
}

void PipelinePlayer::fill_durations(int chunk, const ChunkTimes& times) {
  const auto last = static_cast<std::int32_t>(microbatches_) - 1;
  way(chunk, Phase::forward).duration = times.forward.value;
  way(chunk, Phase::forward).extra = times.first_forward_extra.value;
  way(chunk, Phase::forward).extra_at = 0;
  way(chunk, Phase::backward).duration = times.backward.value;
  way(chunk, Phase::backward).early = times.last_backward_extra.value;
  way(chunk, Phase::input_grad).duration = times.input_grad.value;
  way(chunk, Phase::weight_grad).duration = times.weight_grad.value;
  for (const Phase phase : {Phase::backward, Phase::weight_grad}) {
    way(chunk, phase).extra = times.last_backward_extra.value;
    way(chunk, phase).extra_at = last;
  }
}

void PipelinePlayer::fill_results(int chunk, bool first, bool last) {
  way(chunk, Phase::forward).result = forward_id(chunk, 0);
  if (!first) way(chunk, Phase::forward).needed = forward_id(chunk - 1, 0);
  for (const Phase phase : {Phase::backward, Phase::input_grad}) {
    way(chunk, phase).result = backward_id(chunk, 0);
    way(chunk, phase).needed = last ? forward_id(chunk, 0) : backward_id(chunk + 1, 0);
  }
  way(chunk, Phase::weight_grad).needed = backward_id(chunk, 0);
}

/// The steady part starts at the forward before the first backward. If that is the last forward there is none: a pair
/// made of the end of the warm-up and the start of the cool-down would wait for itself round the pipeline.
void PipelinePlayer::find_steady(Stage& stage, const std::vector<PipelineTask>& order) {
  const auto is_forward = [](const PipelineTask& task) { return task.phase == Phase::forward; };
  const auto first_backward = std::find_if_not(order.begin(), order.end(), is_forward);
  const auto last_forward = std::find_if(order.rbegin(), order.rend(), is_forward);
  const auto warm_up = static_cast<std::size_t>(first_backward - order.begin());
  const auto forwards_end = static_cast<std::size_t>(order.rend() - last_forward);
  if (forwards_end > warm_up) stage.merge_from = warm_up - 1, stage.merge_to = forwards_end;
}

inline bool PipelinePlayer::merges(const Stage& stage, const std::vector<PipelineTask>& order) const {
  if (stage.next < stage.merge_from || stage.next + 1 > stage.merge_to) return false;
  const PipelineTask &forward = order[stage.next], &backward = order[stage.next + 1];
  return forward.phase == Phase::forward && backward.phase == Phase::backward &&
         forward.microbatch != backward.microbatch;
}

/// Adds the task to the turn, unless what it needs is not there yet: then the stage waits for that.
inline bool PipelinePlayer::take(Stage& stage, const PipelineTask& task, const Way& mine, Turn& turn) const {
  turn.length += mine.duration + (task.microbatch == mine.extra_at ? mine.extra : 0);
  if (mine.needed == kNothing) return true;
  const std::size_t needed = mine.needed + static_cast<std::size_t>(task.microbatch);
  const double done = result_[needed];
  if (done < 0) {
    stage.waits_for = needed;
    return false;
  }
  turn.idle_until = std::max(turn.idle_until, done);
  const double sent = overlapped_ ? done : std::max(done, stage.end);
  turn.start = std::max(turn.start, sent + mine.receive);
  return true;
}

/// Makes the result known, holds the sender if sends do, and wakes a stage that waits for it.
inline void PipelinePlayer::publish(Stage& stage, const PipelineTask& task, const Way& mine) {
  if (mine.result == kNothing) return;
  const double end = task.microbatch == mine.extra_at ? stage.end - mine.early : stage.end;
  const std::size_t id = mine.result + static_cast<std::size_t>(task.microbatch);
  result_[id] = end;
  if (!overlapped_) stage.sent = std::max(stage.sent, end + mine.send);
  if (mine.receiver < 0) return;
  Stage& other = stages_[static_cast<std::size_t>(mine.receiver)];
  if (other.waits_for != id) return;
  other.waits_for = kNothing;
  ready_.push_back(mine.receiver);
}

void PipelinePlayer::advance(int stage_index, std::vector<TaskSpan>* spans) {
  Stage stage = stages_[static_cast<std::size_t>(stage_index)];  // a copy, which stays in registers
  const std::vector<PipelineTask>& order = orders_[static_cast<std::size_t>(stage_index)];
  while (stage.next < order.size()) {
    const PipelineTask& task = order[stage.next];
    const Way& mine = way(task);
    const PipelineTask* partner = merge_ && merges(stage, order) ? &task + 1 : nullptr;
    Turn turn{.idle_until = stage.end, .start = std::max(stage.end, stage.sent), .length = 0};
    if (!take(stage, task, mine, turn) || (partner && !take(stage, *partner, way(*partner), turn))) break;
    if (partner) turn.length -= (saving(task) + saving(*partner)) / 2;
    if (stage.start < 0) stage.start = turn.start;
    stage.wait_send += turn.start - std::max(turn.idle_until, 0.0);
    stage.busy += turn.length;
    stage.end = turn.start + turn.length;
    publish(stage, task, mine);
    if (spans) spans->push_back({stage_index, task, {turn.start}, {stage.end}});
    ++stage.next;
    if (!partner) continue;
    publish(stage, *partner, way(*partner));
    if (spans) spans->push_back({stage_index, *partner, {turn.start}, {stage.end}});
    ++stage.next;
  }
  stages_[static_cast<std::size_t>(stage_index)] = stage;
}

void PipelinePlayer::run(std::vector<TaskSpan>* spans) {
  for (int s = static_cast<int>(stages_.size()) - 1; s >= 0; --s) ready_.push_back(s);
  while (!ready_.empty()) {
    const int stage = ready_.back();
    ready_.pop_back();
    advance(stage, spans);
  }
  for (std::size_t s = 0; s < stages_.size(); ++s)
    if (stages_[s].next < orders_[s].size()) throw std::logic_error("pipeline orders deadlock");
}

double PipelinePlayer::makespan() const {
  double end = 0;
  for (const Stage& stage : stages_) end = std::max(end, stage.end);
  return end;
}

double PipelinePlayer::longest_span() const {
  double span = 0;
  for (const Stage& stage : stages_) span = std::max(span, stage.end - stage.start);
  return span;
}

PipelinePlay play_pipeline(const models::Layout& layout, const std::vector<std::vector<PipelineTask>>& orders,
                           const PipelineTimes& times, bool keep_spans) {
  PipelinePlay play;
  PipelinePlayer player(layout, orders, times);
  player.run(keep_spans ? &play.spans : nullptr);
  std::stable_sort(play.spans.begin(), play.spans.end(),
                   [](const TaskSpan& a, const TaskSpan& b) { return a.stage < b.stage; });
  play.makespan = {player.makespan()};
  play.longest_span = {player.longest_span()};
  for (const PipelinePlayer::Stage& stage : player.stages()) {
    play.busy.push_back({stage.busy});
    play.wait_send.push_back({stage.wait_send});
    play.bubble.push_back({player.makespan() - stage.busy - stage.wait_send});
  }
  play.critical_stage = static_cast<int>(std::max_element(play.busy.begin(), play.busy.end()) - play.busy.begin());
  return play;
}

}  // namespace sim
