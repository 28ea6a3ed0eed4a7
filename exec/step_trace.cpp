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

TimelineEvent named(const models::StepProgram& program, const models::RankProgram& rank, std::int64_t id) {
  const models::OpPlace place = models::op_place(id);
  const models::PipelineTask& task = rank.tasks[static_cast<std::size_t>(place.task)];
  const models::PassBlock at = models::pass_blocks(program.chunks[static_cast<std::size_t>(task.chunk)],
                                                   task.phase)[static_cast<std::size_t>(place.position)];
  const models::Block& block = program.blocks[static_cast<std::size_t>(at.block)];
  const auto& ops = place.list == models::OpList::forward ? block.forward : block.backward;
  TimelineEvent event =
      models::describe_op(block, ops[static_cast<std::size_t>(place.op)], models::block_name(block.kind, at.layer));
  event.microbatch = task.microbatch;
  event.op = id;
  return event;
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
