#include "sim/predict_timeline.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "models/expand.h"

namespace sim {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// A pass as played: where its ops come from, and when they run.
struct PlayedPass {
  int chunk = 0;
  models::Phase phase = models::Phase::forward;
  bool edge = false, merged = false;
  std::vector<models::PassBlock> blocks;
  std::vector<LaneOp> ops;
  std::vector<Span> spans;
};

class TimelineWriter {
 public:
  TimelineWriter(const PricedProgram& priced, hw::Seconds flush_period, models::Timeline& timeline)
      : priced_(priced), flush_period_(flush_period), timeline_(timeline) {}

  /// A task of its rank in flush `flush`.
  void write(const TaskSpan& span, int task, bool merged, int flush);
  void add(models::TimelineEvent event) { timeline_.events.push_back(std::move(event)); }

 private:
  const PlayedPass& pass(const models::PipelineTask& task, bool merged, bool edge);
  /// Of one flush.
  int microbatches() const {
    return priced_.program().layout.microbatches / std::max(1, priced_.program().layout.flushes);
  }
  LaneBuilder lane(int chunk, models::Phase phase, bool edge) const;

  const PricedProgram& priced_;
  const hw::Seconds flush_period_;
  models::Timeline& timeline_;
  std::vector<PlayedPass> known_;
};

LaneBuilder TimelineWriter::lane(int chunk, models::Phase phase, bool edge) const {
  LaneBuilder builder(priced_);
  std::vector<std::int16_t> blocks;
  for (const models::PassBlock& place : models::pass_blocks(priced_.program().chunks[at(chunk)], phase))
    blocks.push_back(place.block);
  builder.add_pass(blocks, phase, edge);
  return builder;
}

const PlayedPass& TimelineWriter::pass(const models::PipelineTask& task, bool merged, bool edge) {
  const bool forward = task.phase == models::Phase::forward;
  for (const PlayedPass& known : known_)
    if (known.chunk == task.chunk && known.phase == task.phase && known.edge == edge && known.merged == merged)
      return known;
  PlayedPass played{.chunk = task.chunk,
                    .phase = task.phase,
                    .edge = edge,
                    .merged = merged,
                    .blocks = models::pass_blocks(priced_.program().chunks[at(task.chunk)], task.phase),
                    .ops = {},
                    .spans = {}};
  const LaneBuilder mine = lane(task.chunk, task.phase, edge);
  played.ops = mine.origins();
  if (merged) {
    const LaneBuilder other = lane(task.chunk, forward ? models::Phase::backward : models::Phase::forward, false);
    const Lane lanes[] = {forward ? mine.ops() : other.ops(), forward ? other.ops() : mine.ops()};
    played.spans = play(lanes, priced_.sharing, true).spans[forward ? 0 : 1];
  } else {
    const Lane ops(mine.ops());
    played.spans = play({&ops, 1}, priced_.sharing, true).spans[0];
  }
  known_.push_back(std::move(played));
  return known_.back();
}

void TimelineWriter::write(const TaskSpan& span, int task, bool merged, int flush) {
  const models::StepProgram& program = priced_.program();
  const bool forward = span.task.phase == models::Phase::forward;
  const bool first = flush == 0 && span.task.microbatch == 0;
  const bool last = flush == std::max(1, program.layout.flushes) - 1 && span.task.microbatch == microbatches() - 1;
  const PlayedPass& played = pass(span.task, merged, !merged && (forward ? first : last));
  const hw::Seconds start = span.start + flush * flush_period_;
  for (std::size_t i = 0; i < played.ops.size(); ++i) {
    const LaneOp& from = played.ops[i];
    const models::PassBlock& place = played.blocks[at(from.position)];
    const models::Block& block = program.blocks[at(place.block)];
    models::TimelineEvent event = models::describe_op(block, models::ops_of(block, from.list)[at(from.op)],
                                                      models::block_name(block.kind, place.layer));
    event.rank = span.stage;
    event.start = start + played.spans[i].start;
    event.end = start + played.spans[i].end;
    event.microbatch = span.task.microbatch + flush * microbatches();
    event.op = models::op_id(task, from.position, from.list, from.op);
    add(std::move(event));
  }
}

std::size_t events_of_a_microbatch(const models::StepProgram& program) {
  std::size_t events = 0;
  for (const models::ChunkProgram& chunk : program.chunks)
    for (const models::BlockRun& run : chunk.blocks)
      events += at(run.count) *
                (program.blocks[at(run.block)].forward.size() + program.blocks[at(run.block)].backward.size());
  return std::max<std::size_t>(events, 1);
}

bool merged_with(const TaskSpan& a, const TaskSpan& b) {
  return a.stage == b.stage && a.start == b.start && a.end == b.end && a.end > a.start &&
         (a.task.phase == models::Phase::forward) != (b.task.phase == models::Phase::forward);
}

/// When each stage starts its optimizer: all together, unless its outcome is validated afterwards.
std::vector<hw::Seconds> optimizer_starts(const PricedProgram& priced, const StepCost& step,
                                          const PipelinePlay& played) {
  std::vector<hw::Seconds> starts(at(priced.program().layout.pp), step.optimizer_at);
  if (priced.program().traits.post_validation_optimizer)
    for (const TaskSpan& span : played.spans) starts[at(span.stage)] = span.end;
  return starts;
}

/// What follows the tasks of a stage: ops one after another from a moment on.
class EndOfStep {
 public:
  EndOfStep(const PricedProgram& priced, int stage, TimelineWriter& writer)
      : priced_(priced), stage_(stage), writer_(writer) {}

  void start_at(hw::Seconds now) { now_ = now; }
  void add(const models::Block& block, const models::Op& op, const std::string& where, int position,
           models::OpList list, int index);
  /// One list of each of the stage's blocks.
  void add_lists(models::OpList list);

 private:
  const PricedProgram& priced_;
  int stage_;
  TimelineWriter& writer_;
  hw::Seconds now_;
};

void EndOfStep::add(const models::Block& block, const models::Op& op, const std::string& where, int position,
                    models::OpList list, int index) {
  models::TimelineEvent event = models::describe_op(block, op, where);
  event.rank = stage_;
  event.start = now_;
  event.end = now_ += priced_.model.price(block, op).time;
  event.op = models::op_id(models::kEndOfStep, position, list, index);
  writer_.add(std::move(event));
}

void EndOfStep::add_lists(models::OpList list) {
  int position = 0;
  for (const models::PassBlock& place : models::stage_blocks(priced_.program(), stage_)) {
    const models::Block& block = priced_.program().blocks[at(place.block)];
    int index = 0;
    for (const models::Op& op : models::ops_of(block, list))
      add(block, op, models::block_name(block.kind, place.layer), position, list, index++);
    ++position;
  }
}

void write_ends(const PricedProgram& priced, const StepCost& step, const std::vector<hw::Seconds>& optimizer_starts,
                TimelineWriter& writer) {
  const models::DataParallel& when = priced.program().data_parallel;
  const models::Block nothing;
  for (int stage = 0; stage < priced.program().layout.pp; ++stage) {
    EndOfStep end(priced, stage, writer);
    end.start_at(step.reductions_at);
    if (models::reduces_at_the_end(when)) end.add_lists(models::OpList::reduce);
    end.start_at(optimizer_starts[at(stage)]);
    int index = 0;
    for (const models::Op& op : priced.program().stages[at(stage)].optimizer)
      end.add(nothing, op, "optimizer", 0, models::OpList::forward, index++);
    if (models::gathers_at_the_end(when)) end.add_lists(models::OpList::gather);
  }
}

}  // namespace

void fill_timeline(const PricedProgram& priced, const StepCost& step, models::Timeline& timeline,
                   std::vector<std::string>& assumed) {
  const models::Layout& layout = priced.program().layout;
  const int flushes = std::max(1, layout.flushes), microbatches = layout.microbatches / flushes;
  const PipelinePlay played = play_pipeline(layout, step.orders, step.times, true);
  const std::size_t most = std::max<std::size_t>(kMostEvents / events_of_a_microbatch(priced.program()), 1);
  if (at(layout.microbatches) > most)
    assumed.push_back("timeline: only the first " + std::to_string(most) + " microbatches");
  timeline.program_hash = models::program_hash(priced.program());
  TimelineWriter writer(priced, step.flush_period, timeline);
  for (int flush = 0; flush < flushes; ++flush) {
    int task = 0, stage = -1;
    for (std::size_t i = 0; i < played.spans.size(); ++i, ++task) {
      const TaskSpan& span = played.spans[i];
      if (span.stage != stage) task = 0;
      stage = span.stage;
      if (at(span.task.microbatch + flush * microbatches) >= most) continue;
      const bool merged = (i > 0 && merged_with(span, played.spans[i - 1])) ||
                          (i + 1 < played.spans.size() && merged_with(span, played.spans[i + 1]));
      writer.write(span, task, merged, flush);
    }
  }
  write_ends(priced, step, optimizer_starts(priced, step, played), writer);
}

}  // namespace sim
