#include "sim/predict_step.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace sim {
namespace {

/// Sums of the same terms in another order differ by less.
constexpr double kRounding = 1e-9;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// Microbatches between two drains of the pipeline; Layout::microbatches are those of the step.
int flush_microbatches(const models::Layout& layout) { return layout.microbatches / std::max(1, layout.flushes); }

const PassTime& last_pass(const PricedProgram& priced, const ChunkPasses& chunk) {
  return splits_backward(priced.program().layout.schedule) ? chunk.weight_grad : chunk.backward;
}

/// One microbatch of a chunk: forward and backward.
PassCost microbatch(const PricedProgram& priced, const ChunkCost& chunk) {
  PassCost sum = chunk.forward;
  if (splits_backward(priced.program().layout.schedule)) {
    sum.add(chunk.input_grad);
    sum.add(chunk.weight_grad);
  } else {
    sum.add(chunk.backward);
  }
  return sum;
}

/// A device synchronisation each microbatch, counted with the forward of the rank's first chunk.
double sync_of_chunk(const PricedProgram& priced, int chunk) {
  const bool first = chunk < priced.program().layout.pp;
  return priced.program().traits.sync_per_microbatch && first ? priced.model.efficiency().sync.value : 0;
}

double first_forward_extra(const PricedProgram& priced, const ChunkTable& chunks, int chunk, double reached_at) {
  const ChunkPasses& cost = chunks.of(chunk);
  const double extra = cost.first_forward.time - cost.forward.time;
  return priced.program().layout.pp > 1 ? std::max(0.0, extra - reached_at) : std::max(0.0, extra);
}

/// What the stage's gradient reductions add to the last backward of each of its chunks. Steady backwards may be held up
/// by theirs already; the last one is not, but it is not taken to be shorter, so that its own go on meanwhile.
void fill_last_backwards(const PricedProgram& priced, const ChunkTable& chunks, const models::StageProgram& stage,
                         PipelineTimes& times) {
  const bool split = splits_backward(priced.program().layout.schedule);
  const models::Phase last = split ? models::Phase::weight_grad : models::Phase::backward;
  double backlog = 0;
  for (auto chunk = stage.chunks.rbegin(); chunk != stage.chunks.rend(); ++chunk) {
    const ChunkPasses& cost = chunks.of(*chunk);
    const double steady = last_pass(priced, cost).time;
    const double lasts = std::max(steady, cost.last_backward.time);
    const double transfers = data_parallel_time(priced, priced.program().chunks[at(*chunk)], last, true);
    backlog = std::max({0.0, backlog + transfers - lasts, cost.last_backward.tail - (lasts - cost.last_backward.time)});
    const bool lowest = chunk + 1 == stage.chunks.rend();
    times.chunks[at(*chunk)].last_backward_extra = {lasts - steady + (lowest ? backlog : 0)};
  }
}

/// One list of all blocks, one after the other; of the stage that has most of it.
double longest_list(const PricedProgram& priced, PricedList PricedBlock::*list) {
  double most = 0;
  for (const models::StageProgram& stage : priced.program().stages) {
    double sum = 0;
    for (const int chunk : stage.chunks)
      for (const models::BlockRun& run : priced.program().chunks[at(chunk)].blocks)
        sum += run.count * (priced.blocks[at(run.block)].*list).all().comm;
    most = std::max(most, sum);
  }
  return most;
}

/// Both ends hold the embedding: they exchange its gradient, each sending half of it to be summed and half of the sum.
double shared_embedding(const PricedProgram& priced) {
  const models::StepProgram& program = priced.program();
  if (!program.ends_share_embedding || program.layout.pp == 1) return 0;
  for (const models::Block& block : program.blocks) {
    if (block.kind != models::BlockKind::embedding) continue;
    models::Op exchange = program.send;
    exchange.work = models::SendRecv{
        .group = models::GroupKind::pp,
        .payload = {block.parameters.trainable_dense * hw::bytes_per_element(program.traits.grad_reduce_dtype)}};
    return priced.model.price(block, exchange).time.value;
  }
  return 0;
}

struct OptimizerCost {
  double time = 0;
  OpSums work;
};

OptimizerCost optimizer_of(const PricedProgram& priced, const models::StageProgram& stage) {
  const models::Block nothing;
  OptimizerCost cost;
  for (const models::Op& op : stage.optimizer) {
    const Price price = priced.model.price(nothing, op);
    cost.time += std::max(price.time, priced.model.host_time(op)).value;
    cost.work.origin[static_cast<std::size_t>(price.origin)] += price.time.value;
    cost.work.ideal += price.ideal.value;
  }
  return cost;
}

/// Ranks meet in the optimizer's gradient norm, so that the slowest one counts.
OptimizerCost optimizer_cost(const PricedProgram& priced, int critical_stage) {
  OptimizerCost cost = optimizer_of(priced, priced.program().stages[at(critical_stage)]);
  for (const models::StageProgram& stage : priced.program().stages)
    cost.time = std::max(cost.time, optimizer_of(priced, stage).time);
  return cost;
}

/// One flush and how its busiest stage spends it.
struct Flush {
  double makespan = 0;
  double period = 0;  ///< time to the next one: the makespan, or what a stage needs at most
  double busy = 0, wait_send = 0;
  int critical_stage = 0;
};

double period(const PricedProgram& priced, hw::Seconds makespan, hw::Seconds longest_span) {
  return (priced.program().traits.post_validation_optimizer ? longest_span : makespan).value;
}

double stage_work(const PricedProgram& priced, const PipelineTimes& times, const models::StageProgram& stage,
                  double merged_share) {
  const models::Layout& layout = priced.program().layout;
  double sum = 0;
  for (const int c : stage.chunks) {
    const ChunkTimes& t = times.chunks[at(c)];
    const double apart =
        (t.forward + (splits_backward(layout.schedule) ? t.input_grad + t.weight_grad : t.backward)).value;
    const double share = t.merged.value > 0 ? merged_share : 0;
    sum += flush_microbatches(layout) * ((1 - share) * apart + share * t.merged.value);
    sum += (t.first_forward_extra + t.last_backward_extra).value;
  }
  return sum;
}

Flush flush_by_formula(const PricedProgram& priced, const PipelineTimes& times, const PipelineCost& cost) {
  const models::StepProgram& program = priced.program();
  const models::Layout& layout = program.layout;
  Flush flush{.makespan = cost.makespan.value, .period = period(priced, cost.makespan, cost.longest_span)};
  // All but the warm-up runs merged.
  const double tasks = static_cast<double>(flush_microbatches(layout)) * layout.vp;
  const double merged_share = times.merge_ep ? std::max(0.0, 1 - layout.pp / tasks) : 0;
  for (int s = 0; s < layout.pp; ++s) {
    const double busy = stage_work(priced, times, program.stages[at(s)], merged_share);
    if (busy > flush.busy * (1 + 1e-12)) flush.busy = busy, flush.critical_stage = s;
  }
  flush.busy = std::min(flush.busy, flush.period);
  if (!times.send_overlapped && layout.pp > 1)
    flush.wait_send = std::min(flush.period - flush.busy, tasks * (times.send_forward + times.send_backward).value);
  return flush;
}

Flush flush_by_play(const PricedProgram& priced, const PipelinePlay& play) {
  const int stage = play.critical_stage;
  Flush flush{.makespan = play.makespan.value,
              .period = period(priced, play.makespan, play.longest_span),
              .busy = play.busy[at(stage)].value,
              .wait_send = play.wait_send[at(stage)].value,
              .critical_stage = stage};
  flush.wait_send = std::min(flush.wait_send, flush.period - flush.busy);  // less that before its first task
  return flush;
}

/// Gathers and reductions of once a step are not in every flush.
PipelineTimes without_edges(PipelineTimes times) {
  for (ChunkTimes& chunk : times.chunks) chunk.first_forward_extra = chunk.last_backward_extra = {};
  return times;
}

double straggler_share(const PricedProgram& priced) {
  const models::Layout& layout = priced.program().layout;
  const double nodes = std::max(1.0, static_cast<double>(layout.gpus) / std::max(1, layout.gpus_per_node));
  return priced.model.efficiency().straggler_slope * std::log2(nodes);
}

/// A step whose pipeline takes so long: with the transfers behind it, the optimizer and what happens once a step.
double with_end_of_step(const PricedProgram& priced, double pipeline) {
  const models::DataParallel& dp = priced.program().data_parallel;
  double time = pipeline;
  if (models::reduces_at_the_end(dp)) time += longest_list(priced, &PricedBlock::reduce);
  time += shared_embedding(priced);
  if (models::gathers_at_the_end(dp)) time += longest_list(priced, &PricedBlock::gather);
  time += optimizer_cost(priced, 0).time + priced.model.efficiency().step_constant.value;
  return time + straggler_share(priced) * time;
}

/// Fills what the stage does in `busy` seconds of tasks: its passes as played, merged ones in the share that makes them
/// last so long.
void fill_work(const PricedProgram& priced, const ChunkCosts& chunks, const Flush& flush, double flushes,
               StepCost& step) {
  const models::StepProgram& program = priced.program();
  const double m = flush_microbatches(program.layout);
  PassCost apart, merged;
  double extra = 0, sync = 0;
  for (const int c : program.stages[at(flush.critical_stage)].chunks) {
    const ChunkCost& cost = chunks.of(c);
    const PassCost one = microbatch(priced, cost);
    apart.add(one, m);
    merged.add(cost.merged.time > 0 ? cost.merged : one, m);
    sync += m * sync_of_chunk(priced, c);
    extra += (step.times.chunks[at(c)].first_forward_extra + step.times.chunks[at(c)].last_backward_extra).value;
  }
  const double saved = apart.time - merged.time;
  const double target = flush.busy - extra - sync;
  const double share = std::abs(saved) > 1e-15 ? std::clamp((apart.time - target) / saved, 0.0, 1.0) : 0;
  step.parts.add(apart.parts, flushes * (1 - share));
  step.parts.add(merged.parts, flushes * share);
  step.parts[Part::host] += flushes * sync;
  step.parts[exposed_part(models::Stream::dp_comm, priced.sharded)] += extra;
  step.work.add(apart.work, flushes);
}

}  // namespace

PipelineTimes pipeline_times(const PricedProgram& priced, const ChunkTable& chunks) {
  const models::StepProgram& program = priced.program();
  PipelineTimes times;
  times.profiled = program.traits.profiled_schedule;
  times.send_forward = times.send_backward = priced.model.price(models::Block{}, program.send).time;
  // Zero-bubble runtimes post their transfers asynchronously: weight gradients hide them (arXiv 2401.10241, section 4).
  times.send_overlapped = program.traits.p2p_overlap || splits_backward(program.layout.schedule);
  double reached_at = 0;
  for (int c = 0; c < static_cast<int>(program.chunks.size()); ++c) {
    const ChunkPasses& cost = chunks.of(c);
    const ChunkTimes chunk{.forward = {cost.forward.time + sync_of_chunk(priced, c)},
                           .backward = {cost.backward.time},
                           .input_grad = {cost.input_grad.time},
                           .weight_grad = {cost.weight_grad.time},
                           .first_forward_extra = {first_forward_extra(priced, chunks, c, reached_at)},
                           .last_backward_extra = {},
                           .merged = {cost.merged.time}};
    times.merge_ep |= cost.merged.time > 0;
    reached_at += (chunk.forward + chunk.first_forward_extra).value;
    times.chunks.push_back(chunk);
  }
  for (const models::StageProgram& stage : program.stages) fill_last_backwards(priced, chunks, stage, times);
  return times;
}

StepCost step_cost(const PricedProgram& priced, const ChunkCosts& chunks, Tier tier) {
  const models::Layout& layout = priced.program().layout;
  const int microbatches = flush_microbatches(layout);
  StepCost step;
  step.times = pipeline_times(priced, passes_of(chunks));
  if (tier == Tier::events)
    step.orders = models::pipeline_schedule(layout, microbatches, phase_times(step.times), step.times.merge_ep);
  const auto play_flush = [&](const PipelineTimes& times) {
    if (tier == Tier::events) return flush_by_play(priced, play_pipeline(layout, step.orders, times));
    PipelineCost cost = pipeline_formula(layout, times, microbatches);
    step.orders = std::move(cost.orders);
    return flush_by_formula(priced, times, cost);
  };
  const Flush flush = play_flush(step.times);
  step.critical_stage = flush.critical_stage;
  fill_work(priced, chunks, flush, layout.flushes, step);
  double pipeline = flush.period;
  step.flush_period = {flush.period};
  if (layout.flushes > 1) pipeline += (layout.flushes - 1) * play_flush(without_edges(step.times)).period;
  step.parts[Part::exposed_p2p] += layout.flushes * flush.wait_send;
  step.parts[Part::bubble] = std::max(0.0, pipeline - step.parts.total());  // of rounding, -1e-16 may be left
  double& transfers = step.parts[exposed_part(models::Stream::dp_comm, priced.sharded)];
  step.reductions_at = {step.parts.total() + flush.makespan - flush.period};
  if (models::reduces_at_the_end(priced.program().data_parallel))
    transfers += longest_list(priced, &PricedBlock::reduce);
  transfers += shared_embedding(priced);
  step.optimizer_at = {step.parts.total() + flush.makespan - flush.period};
  if (models::gathers_at_the_end(priced.program().data_parallel))
    transfers += longest_list(priced, &PricedBlock::gather);
  const OptimizerCost optimizer = optimizer_cost(priced, flush.critical_stage);
  step.parts[Part::optimizer] = optimizer.time;
  step.work.add(optimizer.work);
  step.parts[Part::step_constant] = priced.model.efficiency().step_constant.value;
  step.parts[Part::straggler] = straggler_share(priced) * step.parts.total();
  return step;
}

std::vector<hw::Seconds> stage_work(const PricedProgram& priced, const ChunkTable& chunks) {
  std::vector<hw::Seconds> work;
  for (const models::StageProgram& stage : priced.program().stages) {
    hw::Seconds sum;
    for (const int c : stage.chunks) {
      const ChunkPasses& cost = chunks.of(c);
      const double split = splits_backward(priced.program().layout.schedule) ? cost.input_grad.time : 0;
      const double apart = cost.forward.time + split + last_pass(priced, cost).time;
      sum += {cost.merged.time > 0 ? cost.merged.time : apart};
    }
    work.push_back(sum);
  }
  return work;
}

StepTime step_time(const PricedProgram& priced, const ChunkTable& chunks, PipelinePlans& plans) {
  const models::StepProgram& program = priced.program();
  const models::Layout& layout = program.layout;
  const PipelineTimes times = pipeline_times(priced, chunks);
  StepTime step;
  const auto flush_of = [&](const PipelineTimes& of) {
    PipelineCost cost = pipeline_formula(layout, of, flush_microbatches(layout), plans);
    step.orders = std::move(cost.orders);
    return flush_by_formula(priced, of, cost);
  };
  double pipeline = flush_of(times).period;
  if (layout.flushes > 1) pipeline += (layout.flushes - 1) * flush_of(without_edges(times)).period;
  step.time = {with_end_of_step(priced, pipeline)};
  return step;
}

hw::Seconds least_step_time(const PricedProgram& priced, const ChunkTable& least) {
  const models::StepProgram& program = priced.program();
  const models::Layout& layout = program.layout;
  // The way of the first microbatch to a rank's first task and of the last one from its last task.
  const bool has_way = !program.traits.post_validation_optimizer && !splits_backward(layout.schedule);
  double flush = 0, way = 0;
  for (int s = 0; s < layout.pp; ++s) {
    double work = 0;
    for (const int c : program.stages[at(s)].chunks) {
      const ChunkPasses& cost = least.of(c);
      const double apart = cost.forward.time + last_pass(priced, cost).time +
                           (splits_backward(layout.schedule) ? cost.input_grad.time : 0);
      work += cost.merged.time > 0 ? std::min(apart, cost.merged.time) : apart;
    }
    flush = std::max(flush, flush_microbatches(layout) * work + way);
    if (has_way) way += least.of(s).forward.time + least.of(s).backward.time;
  }
  return {(1 - kRounding) * with_end_of_step(priced, layout.flushes * flush)};
}

}  // namespace sim
