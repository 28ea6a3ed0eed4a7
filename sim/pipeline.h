#pragma once

#include <vector>

#include "hw/units.h"
#include "models/layout.h"
#include "models/schedule.h"

namespace sim {

/// Durations of one chunk's tasks, per microbatch.
struct ChunkTimes {
  hw::Seconds forward, backward;        ///< backward: input and weight gradients together
  hw::Seconds input_grad, weight_grad;  ///< the same apart; read by the zero-bubble schedules only
  hw::Seconds first_forward_extra;      ///< lengthens the forward of microbatch 0: a parameter gather that shows
  hw::Seconds last_backward_extra;      ///< after the last microbatch's backward (weight_grad if apart): a gradient
                                        ///< reduction that shows; its input gradient is sent before
  hw::Seconds merged;                   ///< forward of one microbatch run together with backward of another; 0 = never
};

struct PipelineTimes {
  std::vector<ChunkTimes> chunks;           ///< pp * vp, in model order
  hw::Seconds send_forward, send_backward;  ///< point-to-point transfer to another stage, latency included
  /// true: a transfer only delays the receiver. false: it also holds up the compute streams of both: the sender may
  /// not start its next task, and the receiver may not start the receiving one, before a transfer's time has passed
  /// since each was ready for it; a send and a receive between two tasks run at once, as Megatron-LM batches them.
  bool send_overlapped = true;
  /// Runs a steady forward of 1f1b and interleaved together with the backward after it, if their microbatches differ.
  /// Make the schedule with `merged` set, or few pairs qualify.
  bool merge_ep = false;
  bool profiled = true;  ///< zero-bubble schedules are laid out for these times
};

struct TaskSpan {
  int stage = 0;
  models::PipelineTask task;
  hw::Seconds start, end;
};

/// For every stage: makespan = busy + wait_send + bubble.
struct PipelinePlay {
  hw::Seconds makespan;                ///< start of the first task to the end of the last, over all stages
  hw::Seconds longest_span;            ///< the same of one stage, at most: the step's period if stages need not meet
                                       ///< after each flush (cost in arXiv 2401.10241)
  std::vector<hw::Seconds> busy;       ///< sum of the stage's task durations, extras included
  std::vector<hw::Seconds> wait_send;  ///< later start of its tasks because of transfers between the very two tasks
  std::vector<hw::Seconds> bubble;     ///< idle for all other reasons: waiting for other stages' tasks
  std::vector<TaskSpan> spans;         ///< only if asked for; stage after stage, a merged pair as two equal spans
  int critical_stage = 0;              ///< the busiest stage; the first of equals
};

/// Plays `orders` (of models::pipeline_schedule): every stage runs its tasks in its order, each as soon as its needs
/// are there. Throws std::logic_error if the orders deadlock or lack a task.
PipelinePlay play_pipeline(const models::Layout& layout, const std::vector<std::vector<models::PipelineTask>>& orders,
                           const PipelineTimes& times, bool keep_spans = false);

/// Ratios to lay out a zero-bubble schedule with: means over the chunks, or all the same.
models::PhaseTimes phase_times(const PipelineTimes& times);

/// makespan and longest_span of a PipelinePlay.
struct PipelineCost {
  hw::Seconds makespan, longest_span;
  /// Zero-bubble schedules: what was played, of all microbatches or of enough to show warm-up and steady state.
  std::vector<std::vector<models::PipelineTask>> orders;
};

/// Cost of pipeline_schedule(layout, microbatches, phase_times(times), times.merge_ep) without keeping a play.
///   gpipe, vp 1, asynchronous sends          exact, closed form
///   1f1b, interleaved; equal chunks, no sends or extras, microbatches a multiple of pp (any for vp 1): exact,
///                                            (m vp + pp - 1)(F + B); Narayanan et al., SC 21, section 2.2
///   zb-1p, zb-2p, zb-v                       exact up to max(12 pp, 96) microbatches; beyond, lengthened as below
///   all else                                 exact up to max(4, 32 / pp) * pp microbatches; beyond, a play of that
///                                            many, lengthened by its period (schedules repeat) or by the least
///                                            possible one. Typically within 0.1 %; 2 to 4 % off at worst, for
///                                            interleaved chunks that all differ at random by up to 2x.
PipelineCost pipeline_formula(const models::Layout& layout, const PipelineTimes& times, int microbatches);

/// The same with plans that are kept from call to call (sim/pipeline_plan.h).
class PipelinePlans;
PipelineCost pipeline_formula(const models::Layout& layout, const PipelineTimes& times, int microbatches,
                              PipelinePlans& plans);

}  // namespace sim
