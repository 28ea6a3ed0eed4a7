#include "exec/step_trace.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "models/expand.h"

namespace exec {
namespace {

using models::TimelineEvent;

TimelineEvent unnamed(const LaunchRecord& launch) {
  TimelineEvent event;
  event.name = launch.stream == models::Stream::dp_comm ? "data_parallel" : "copy, sum or update";
  event.kind = "other";
  event.stream = launch.stream;
  event.op = -1;
  return event;
}

/// Where an op of the program is.
struct Place {
  models::PassBlock at;
  int microbatch = -1;
};

Place place_of(const models::StepProgram& program, const models::RankProgram& rank, const models::OpPlace& place) {
  const auto position = static_cast<std::size_t>(place.position);
  if (place.task == models::kEndOfStep) return {models::stage_blocks(program, rank.stage)[position]};
  const models::PipelineTask& task = rank.tasks[static_cast<std::size_t>(place.task)];
  return {models::pass_blocks(program.chunks[static_cast<std::size_t>(task.chunk)], task.phase)[position],
          task.microbatch};
}

TimelineEvent named(const models::StepProgram& program, const models::RankProgram& rank, std::int64_t id) {
  const models::OpPlace place = models::op_place(id);
  const auto op = static_cast<std::size_t>(place.op);
  TimelineEvent event;
  if (place.task == models::kEndOfStep && place.list == models::OpList::forward) {
    const auto& ops = program.stages[static_cast<std::size_t>(rank.stage)].optimizer;
    event = models::describe_op(models::Block{}, ops[op], "optimizer");
  } else {
    const auto [at, microbatch] = place_of(program, rank, place);
    const models::Block& block = program.blocks[static_cast<std::size_t>(at.block)];
    event = models::describe_op(block, models::ops_of(block, place.list)[op], models::block_name(block.kind, at.layer));
    event.microbatch = microbatch;
  }
  event.op = id;
  return event;
}

/// Launches of one op that follow each other, such as the optimizer's of each parameter, are one.
bool goes_on(const LaunchRecord& launch, const std::vector<TimelineEvent>& events, int rank) {
  return launch.op >= 0 && !events.empty() && events.back().op == launch.op && events.back().rank == rank;
}

}  // namespace

models::Timeline timeline_of(const models::StepProgram& program, const std::vector<RankRecords>& ranks) {
  hw::Seconds begin{std::numeric_limits<double>::infinity()};
  for (const RankRecords& rank : ranks)
    for (const LaunchRecord& launch : rank.launches) begin = std::min(begin, launch.start.wall);
  models::Timeline timeline{.events = {}, .program_hash = models::program_hash(program)};
  for (const RankRecords& rank : ranks) {
    const models::RankProgram tasks = models::expand(program, rank.stage);
    for (const LaunchRecord& launch : rank.launches) {
      if (goes_on(launch, timeline.events, rank.rank)) {
        timeline.events.back().end = launch.end.wall - begin;
        continue;
      }
      TimelineEvent event = launch.op < 0 ? unnamed(launch) : named(program, tasks, launch.op);
      event.rank = rank.rank;
      event.start = launch.start.wall - begin;
      event.end = launch.end.wall - begin;
      timeline.events.push_back(std::move(event));
    }
  }
  return timeline;
}

}  // namespace exec
