#include <algorithm>

#include "models/schedule.h"
#include "sim/prediction.h"

namespace sim {
namespace {

using models::Phase;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// Activation bytes of one chunk and microbatch.
struct ChunkActivations {
  double kept = 0;            ///< between forward and backward
  double forward_worst = 0;   ///< in forward: kept by the blocks so far and transient of the running one
  double backward_worst = 0;  ///< in backward, where each block's are released as it ends
  double transient = 0;       ///< largest of the blocks' in backward, where nothing is released (input gradients only)
};

ChunkActivations activations(const models::StepProgram& program, const models::ChunkProgram& chunk) {
  ChunkActivations result;
  for (const models::BlockRun& run : chunk.blocks) {
    const models::Block& block = program.blocks[at(run.block)];
    // The last block of a run has the most before it.
    result.kept += run.count * block.kept.value;
    result.forward_worst = std::max(result.forward_worst, result.kept + block.forward_peak.value);
    result.backward_worst = std::max(result.backward_worst, result.kept + block.backward_peak.value);
    result.transient = std::max(result.transient, block.backward_peak.value);
  }
  return result;
}

/// The fullest moment of a rank.
struct Moment {
  double kept = 0, transient = 0;  ///< bytes; kept: of all microbatches in flight, the running task's own in part
  models::PipelineTask task;

  double total() const { return kept + transient; }
};

/// Activations over the tasks of a rank, in their order.
Moment fullest(const std::vector<models::PipelineTask>& order, const std::vector<ChunkActivations>& chunks) {
  Moment worst;
  double kept = 0;
  const auto consider = [&](double before, double during, const models::PipelineTask& task) {
    if (before + during > worst.total()) worst = {before, during, task};
  };
  for (const models::PipelineTask& task : order) {
    const ChunkActivations& chunk = chunks[at(task.chunk)];
    switch (task.phase) {
      case Phase::forward:
        consider(kept, chunk.forward_worst, task);
        kept += chunk.kept;
        break;
      case Phase::backward:
        kept -= chunk.kept;
        consider(kept, chunk.backward_worst, task);
        break;
      case Phase::input_grad: consider(kept, chunk.transient, task); break;
      case Phase::weight_grad: kept -= chunk.kept; break;  // its inputs are held until here
    }
  }
  return worst;
}

/// Microbatches after which a schedule has warmed up and run for a period; GPipe warms up over all.
int enough_microbatches(const models::Layout& layout) {
  const int in_flush = layout.microbatches / std::max(1, layout.flushes);
  if (layout.schedule == models::Schedule::gpipe) return in_flush;
  const bool plain = layout.schedule == models::Schedule::one_f_one_b;
  return std::min(in_flush, (plain ? 1 : 3) * layout.pp + 2);
}

const char* name(Phase phase) {
  switch (phase) {
    case Phase::forward: return "forward";
    case Phase::backward: return "backward";
    case Phase::input_grad: return "input gradients";
    case Phase::weight_grad: return "weight gradients";
  }
  return "";
}

/// Receive buffers of both directions.
double pipeline_buffers(const models::StepProgram& program) {
  const auto* send = std::get_if<models::SendRecv>(&program.send.work);
  return program.layout.pp > 1 && send ? 2 * send->payload.value : 0;
}

Memory rank_memory(const models::Run& run, const models::StepProgram& program, int stage, const Moment& moment) {
  const models::StaticMemory& fixed = program.stages[at(stage)].memory;
  Memory memory;
  memory.stage = stage;
  memory.available = run.cluster.gpu.memory;
  memory.moment = std::string(name(moment.task.phase)) + " of chunk " + std::to_string(moment.task.chunk) +
                  ", microbatch " + std::to_string(moment.task.microbatch);
  memory.items = {{"weights", fixed.weights + fixed.quantised_weights},
                  {"gradients", fixed.gradients},
                  {"optimizer", fixed.optimizer},
                  {"activations", {moment.kept}},
                  {"transient", {moment.transient}},
                  {"gathered", fixed.gathered},
                  {"communication", {pipeline_buffers(program)}},
                  {"overhead", {program.traits.allocator_overhead_gib * hw::kGiB}}};
  for (const MemoryItem& item : memory.items) memory.peak += item.bytes;
  return memory;
}

/// The running task's transient bytes count its own kept ones; they belong to the activations.
Moment split(Moment moment, const std::vector<ChunkActivations>& chunks) {
  if (moment.task.phase == Phase::input_grad) return moment;
  const double own = std::min(chunks[at(moment.task.chunk)].kept, moment.transient);
  moment.kept += own;
  moment.transient -= own;
  return moment;
}

double fixed_bytes(const models::StaticMemory& memory) {
  return (memory.weights + memory.quantised_weights + memory.gradients + memory.optimizer + memory.gathered).value;
}

}  // namespace

Memory predict_memory(const models::Run& run, const models::StepProgram& program) {
  std::vector<ChunkActivations> chunks;
  chunks.reserve(program.chunks.size());
  for (const models::ChunkProgram& chunk : program.chunks) chunks.push_back(activations(program, chunk));
  const auto orders =
      models::pipeline_schedule(program.layout, enough_microbatches(program.layout), {}, program.traits.ep_overlap);
  Moment worst;
  int fullest_stage = 0;
  double most = -1;
  for (int stage = 0; stage < program.layout.pp; ++stage) {
    const Moment moment = fullest(orders[at(stage)], chunks);
    const double bytes = moment.total() + fixed_bytes(program.stages[at(stage)].memory);
    if (bytes <= most) continue;
    most = bytes;
    worst = moment;
    fullest_stage = stage;
  }
  return rank_memory(run, program, fullest_stage, split(worst, chunks));
}

}  // namespace sim
