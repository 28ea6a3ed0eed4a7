#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hw/units.h"
#include "models/layout.h"
#include "models/schedule.h"
#include "sim/pipeline.h"
#include "sim/pipeline_plan.h"

namespace sim {

using models::Phase;
using models::PipelineTask;

namespace {

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

}  // namespace

void PipelinePlayer::read_chunks(const models::Layout& layout, const PipelineTimes& times) {
  const int count = static_cast<int>(times.chunks.size());
  ways_.assign(times.chunks.size() * PipelinePlan::kPhases, {});
  for (int c = 0; c < count; ++c) {
    const ChunkTimes& in = times.chunks[at(c)];
    fill_durations(c, in);
    const int own = layout.stage_of_chunk(c);
    const auto connect = [&](int neighbour, Phase in_phase, Phase out_phase, double receive, double send) {
      if (layout.stage_of_chunk(neighbour) == own) return;
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
  const double saving = times.merged.value > 0 ? (times.forward + times.backward - times.merged).value : 0;
  way(chunk, Phase::forward) = {.duration = times.forward.value, .extra = times.first_forward_extra.value};
  way(chunk, Phase::backward) = {.duration = times.backward.value, .early = times.last_backward_extra.value};
  way(chunk, Phase::input_grad) = {.duration = times.input_grad.value};
  way(chunk, Phase::weight_grad) = {.duration = times.weight_grad.value};
  way(chunk, Phase::backward).extra = way(chunk, Phase::weight_grad).extra = times.last_backward_extra.value;
  for (const Phase phase : {Phase::forward, Phase::backward}) way(chunk, phase).saving = saving;
}

/// Each task, or merged pair, starts as soon as its stage and its needs allow. kOverlapped: sends hold up no stage.
template <bool kOverlapped>
void PipelinePlayer::run(const PipelinePlan& plan, std::vector<TaskSpan>* spans) {
  const PlannedTask* tasks = plan.tasks().data();
  const std::size_t count = plan.tasks().size();
  for (std::size_t i = 0; i < count;) {
    const std::size_t behind = i + (tasks[i].merged ? 2 : 1);
    Stage& stage = stages_[static_cast<std::size_t>(tasks[i].stage)];
    double idle_until = stage.end, start = kOverlapped ? stage.end : std::max(stage.end, stage.sent), length = 0;
    for (std::size_t k = i; k < behind; ++k) {
      const Way& mine = ways_[at(tasks[k].way)];
      length += mine.duration + (tasks[k].edge ? mine.extra : 0);
      const double done = result_[at(tasks[k].needed)];
      idle_until = std::max(idle_until, done);
      start = std::max(start, (kOverlapped ? done : std::max(done, stage.end)) + mine.receive);
    }
    if (behind - i == 2) length -= (ways_[at(tasks[i].way)].saving + ways_[at(tasks[i + 1].way)].saving) / 2;
    if (stage.start < 0) stage.start = start;
    stage.wait_send += start - std::max(idle_until, 0.0);
    stage.busy += length;
    stage.end = start + length;
    for (std::size_t k = i; k < behind; ++k) {
      const Way& mine = ways_[at(tasks[k].way)];
      const double end = tasks[k].edge ? stage.end - mine.early : stage.end;
      result_[at(tasks[k].result)] = end;
      if (!kOverlapped && tasks[k].result != PipelinePlan::kUnread) stage.sent = std::max(stage.sent, end + mine.send);
      if (spans) spans->push_back({tasks[k].stage, plan.task(k), {start}, {stage.end}});
    }
    i = behind;
  }
}

void PipelinePlayer::play(const models::Layout& layout, const PipelinePlan& plan, const PipelineTimes& times,
                          std::vector<TaskSpan>* spans) {
  read_chunks(layout, times);
  stages_.assign(static_cast<std::size_t>(plan.stages()), {});
  if (result_.size() < plan.results()) result_.resize(plan.results());
  result_[at(PipelinePlan::kStart)] = 0;
  if (times.send_overlapped) {
    run<true>(plan, spans);
  } else {
    run<false>(plan, spans);
  }
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
  PipelinePlayer player;
  player.play(layout, PipelinePlan(layout, orders, times.merge_ep), times, keep_spans ? &play.spans : nullptr);
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
