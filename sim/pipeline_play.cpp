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

std::size_t index(Phase phase) { return static_cast<std::size_t>(phase); }
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
  chunks_.resize(times.chunks.size());
  for (int c = 0; c < count; ++c) {
    const ChunkTimes& in = times.chunks[static_cast<std::size_t>(c)];
    Chunk& out = chunks_[static_cast<std::size_t>(c)];
    out.duration[index(Phase::forward)] = in.forward.value;
    out.duration[index(Phase::backward)] = in.backward.value;
    out.duration[index(Phase::input_grad)] = in.input_grad.value;
    out.duration[index(Phase::weight_grad)] = in.weight_grad.value;
    if (in.merged.value > 0) out.saving = (in.forward + in.backward - in.merged).value;
    out.first_extra = in.first_forward_extra.value;
    out.last_extra = in.last_backward_extra.value;
    const int own = layout.stage_of_chunk(c);
    if (c > 0) out.previous = layout.stage_of_chunk(c - 1);
    if (c + 1 < count) out.next = layout.stage_of_chunk(c + 1);
    if (out.previous >= 0 && out.previous != own) {
      out.receive[0] = times.send_forward.value;
      out.send[1] = times.send_backward.value;
    }
    if (out.next >= 0 && out.next != own) {
      out.send[0] = times.send_forward.value;
      out.receive[1] = times.send_backward.value;
    }
  }
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

PipelinePlayer::Need PipelinePlayer::need(const PipelineTask& task) const {
  const Chunk& chunk = chunks_[static_cast<std::size_t>(task.chunk)];
  switch (task.phase) {
    case Phase::forward:
      if (chunk.previous < 0) return {};
      return {forward_id(task.chunk - 1, task.microbatch), chunk.receive[0]};
    case Phase::backward:
    case Phase::input_grad:
      if (chunk.next < 0) return {forward_id(task.chunk, task.microbatch), 0};
      return {backward_id(task.chunk + 1, task.microbatch), chunk.receive[1]};
    case Phase::weight_grad: break;
  }
  return {backward_id(task.chunk, task.microbatch), 0};
}

double PipelinePlayer::duration(const PipelineTask& task) const {
  const Chunk& chunk = chunks_[static_cast<std::size_t>(task.chunk)];
  double result = chunk.duration[index(task.phase)];
  if (task.phase == Phase::forward) {
    if (task.microbatch == 0) result += chunk.first_extra;
  } else if (task.phase != Phase::input_grad && static_cast<std::size_t>(task.microbatch) + 1 == microbatches_) {
    result += chunk.last_extra;
  }
  return result;
}

bool PipelinePlayer::merges(const Stage& stage, const std::vector<PipelineTask>& order) const {
  if (stage.next < stage.merge_from || stage.next + 1 > stage.merge_to) return false;
  const PipelineTask &forward = order[stage.next], &backward = order[stage.next + 1];
  return forward.phase == Phase::forward && backward.phase == Phase::backward &&
         forward.microbatch != backward.microbatch;
}

/// Makes the result known, holds the sender if sends do, and wakes a stage that waits for it.
void PipelinePlayer::publish(Stage& stage, const PipelineTask& task, double end) {
  if (task.phase == Phase::weight_grad) return;
  const Chunk& chunk = chunks_[static_cast<std::size_t>(task.chunk)];
  const bool forward = task.phase == Phase::forward;
  if (!forward && static_cast<std::size_t>(task.microbatch) + 1 == microbatches_ && task.phase == Phase::backward)
    end -= chunk.last_extra;
  const std::size_t id = forward ? forward_id(task.chunk, task.microbatch) : backward_id(task.chunk, task.microbatch);
  result_[id] = end;
  if (!overlapped_) stage.sent = std::max(stage.sent, end + chunk.send[forward ? 0 : 1]);
  const int receiver = forward ? chunk.next : chunk.previous;
  if (receiver < 0) return;
  Stage& other = stages_[static_cast<std::size_t>(receiver)];
  if (other.waits_for != id) return;
  other.waits_for = kNothing;
  ready_.push_back(receiver);
}

void PipelinePlayer::advance(int stage_index, std::vector<TaskSpan>* spans) {
  Stage& stage = stages_[static_cast<std::size_t>(stage_index)];
  const std::vector<PipelineTask>& order = orders_[static_cast<std::size_t>(stage_index)];
  while (stage.next < order.size()) {
    const PipelineTask& task = order[stage.next];
    const std::size_t parts = merge_ && merges(stage, order) ? 2 : 1;
    double idle_until = stage.end, start = std::max(stage.end, stage.sent), length = 0;
    for (std::size_t i = 0; i < parts; ++i) {
      const PipelineTask& part = order[stage.next + i];
      const Need needed = need(part);
      length += duration(part);
      if (needed.id == kNothing) continue;
      const double done = result_[needed.id];
      if (done < 0) {
        stage.waits_for = needed.id;
        return;
      }
      idle_until = std::max(idle_until, done);
      start = std::max(start, (overlapped_ ? done : std::max(done, stage.end)) + needed.receive);
    }
    if (parts == 2) {
      const PipelineTask& partner = order[stage.next + 1];
      length -= (chunks_[static_cast<std::size_t>(task.chunk)].saving +
                 chunks_[static_cast<std::size_t>(partner.chunk)].saving) /
                2;
    }
    if (stage.start < 0) stage.start = start;
    stage.wait_send += start - std::max(idle_until, 0.0);
    stage.busy += length;
    stage.end = start + length;
    for (std::size_t i = 0; i < parts; ++i) {
      const PipelineTask& part = order[stage.next + i];
      publish(stage, part, stage.end);
      if (spans) spans->push_back({stage_index, part, {start}, {stage.end}});
    }
    stage.next += parts;
  }
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
