#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "models/schedule.h"
#include "sim/by_chunk.h"
#include "sim/prediction.h"

namespace sim {
namespace {

using models::Phase;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// Activation bytes at one moment.
struct Held {
  double kept = 0;       ///< for a later backward
  double transient = 0;  ///< in use by the running op besides
  double gradients = 0;  ///< that have appeared so far, where they do in backward

  double total() const { return kept + transient + gradients; }
};

void raise(Held& worst, double kept, double transient, double gradients = 0) {
  if (kept + transient + gradients > worst.total()) worst = {kept, transient, gradients};
}

/// One chunk and microbatch; `in_*` are worst moments within a pass, counted from an empty rank.
struct ChunkActivations {
  std::vector<const models::Block*> blocks;  ///< in order, repeated ones too
  double kept = 0;                           ///< between forward and backward
  double held = 0;                           ///< between input gradients and weight gradients
  double late_gradients = 0;                 ///< from the first backward pass on
  Held in_forward, in_backward, in_input_grad;
  Held in_first_backward, behind_first_backward;  ///< with gradients; the second has no gathered weights any more
};

/// What a pass over a block needs besides what it keeps.
double in_forward(const models::Block& block) { return (block.forward_peak + block.gathered).value; }
double in_backward(const models::Block& block) {
  return (block.backward_peak + block.gathered + block.whole_gradients).value;
}

/// Backward releases block by block; gradients of weights that a block shares stay from there on, and in the first pass
/// those of each block.
void raise_in_backward(const models::StepProgram& program, const models::ChunkProgram& chunk,
                       ChunkActivations& result) {
  double kept = result.kept, shared = 0, late = 0;
  for (auto run = chunk.blocks.rbegin(); run != chunk.blocks.rend(); ++run) {
    const models::Block& block = program.blocks[at(run->block)];
    const double transient = in_backward(block) + shared;
    raise(result.in_backward, kept, transient);
    raise(result.in_first_backward, kept, transient, late);
    // Its last block: all but one have gone.
    const double others = run->count - 1;
    raise(result.in_first_backward, kept - others * block.kept.value, transient,
          late + others * block.late_gradients.value);
    kept -= run->count * block.kept.value;
    late += run->count * block.late_gradients.value;
    shared += block.shared_gradients.value;
    result.behind_first_backward = {0, in_backward(block), late};
  }
  result.late_gradients = late;
}

ChunkActivations activations(const models::StepProgram& program, const models::ChunkProgram& chunk) {
  ChunkActivations result;
  for (const models::BlockRun& run : chunk.blocks) {
    const models::Block& block = program.blocks[at(run.block)];
    result.blocks.insert(result.blocks.end(), at(run.count), &block);
    result.kept += run.count * block.kept.value;
    result.held += run.count * block.held_for_weights.value;
    // The last block of a run has the most before it; backward releases from there.
    raise(result.in_forward, result.kept, in_forward(block));
  }
  raise_in_backward(program, chunk, result);
  double now = result.kept;
  for (auto block = result.blocks.rbegin(); block != result.blocks.rend(); ++block) {
    raise(result.in_input_grad, now, (*block)->input_grad_peak.value);
    now += (*block)->held_for_weights.value - (*block)->kept.value;
  }
  raise(result.in_input_grad, now, 0);
  return result;
}

/// A forward and another microbatch's backward run side by side, block by block (Megatron-Core
/// combined_1f1b.py): what one keeps takes the place of what the other releases. Counted besides the backward's kept.
Held in_merged(const ChunkActivations& forward, const ChunkActivations& backward) {
  Held worst;
  double now = 0;
  const std::size_t steps = std::max(forward.blocks.size(), backward.blocks.size());
  for (std::size_t i = 0; i < steps; ++i) {
    double transient = 0;
    if (i < forward.blocks.size()) {
      now += forward.blocks[i]->kept.value;
      transient += forward.blocks[i]->forward_peak.value;
    }
    const models::Block* released =
        i < backward.blocks.size() ? backward.blocks[backward.blocks.size() - 1 - i] : nullptr;
    if (released) transient += released->backward_peak.value;
    raise(worst, now, transient);
    if (released) now -= released->kept.value;
  }
  return worst;
}

/// The fullest moment of a rank.
struct Moment {
  Held held;
  models::PipelineTask task;
};

/// Activations of all chunks, and what each pair holds while merged, which is worked out when first asked for.
class ActivationsByChunk {
 public:
  explicit ActivationsByChunk(const models::StepProgram& program)
      : chunks_(by_chunk(program, [&](const models::ChunkProgram& chunk) { return activations(program, chunk); })),
        merged_(distinct().size() * distinct().size()) {}

  const ChunkActivations& of(int chunk) const { return chunks_.of(chunk); }
  std::size_t size() const { return chunks_.index.size(); }
  const std::vector<ChunkActivations>& distinct() const { return chunks_.distinct; }
  const Held& merged(int forward, int backward) {
    auto& held = merged_[at(chunks_.index[at(forward)]) * distinct().size() + at(chunks_.index[at(backward)])];
    if (!held) held = in_merged(of(forward), of(backward));
    return *held;
  }

 private:
  ByChunk<ChunkActivations> chunks_;
  std::vector<std::optional<Held>> merged_;  ///< by distinct forward and backward chunk
};

/// The fullest moments of a rank with gathered weights and, at the end of a first backward pass, without.
struct Moments {
  Moment gathered, end;
};

/// Activations over the tasks of a rank, in their order, and gradients where they appear in backward (`late`).
Moments fullest(const std::vector<models::PipelineTask>& order, ActivationsByChunk& chunks, bool merged, bool late) {
  Moments moments;
  std::vector<bool> has_gradients(chunks.size(), !late);
  double kept = 0, gradients = 0;
  const auto raised = [&](Moment& worst, const Held& pass, const models::PipelineTask& task) {
    if (kept + gradients + pass.total() > worst.held.total())
      worst = {{kept + pass.kept, pass.transient, gradients + pass.gradients}, task};
  };
  const auto consider = [&](const Held& pass, const models::PipelineTask& task) {
    raised(moments.gathered, pass, task);
  };
  const auto first_backward = [&](const models::PipelineTask& task) {
    const ChunkActivations& chunk = chunks.of(task.chunk);
    if (has_gradients[at(task.chunk)]) return false;
    has_gradients[at(task.chunk)] = true;
    consider(chunk.in_first_backward, task);
    raised(moments.end, chunk.behind_first_backward, task);
    gradients += chunk.late_gradients;
    return true;
  };
  for (std::size_t i = 0; i < order.size(); ++i) {
    const models::PipelineTask& task = order[i];
    const ChunkActivations& chunk = chunks.of(task.chunk);
    const models::PipelineTask* next = i + 1 < order.size() ? &order[i + 1] : nullptr;
    if (merged && next && task.phase == Phase::forward && next->phase == Phase::backward &&
        next->microbatch != task.microbatch) {
      consider(chunks.merged(task.chunk, next->chunk), *next);
      kept += chunk.kept - chunks.of(next->chunk).kept;
      ++i;
      continue;
    }
    switch (task.phase) {
      case Phase::forward:
        consider(chunk.in_forward, task);
        kept += chunk.kept;
        break;
      case Phase::backward:
        kept -= chunk.kept;
        if (!first_backward(task)) consider(chunk.in_backward, task);
        break;
      case Phase::input_grad:
        kept -= chunk.kept;
        consider(chunk.in_input_grad, task);
        kept += chunk.held;
        break;
      case Phase::weight_grad: kept -= chunk.held; break;
    }
  }
  return moments;
}

/// Microbatches after which a schedule has warmed up and run for a period; GPipe warms up over all. The interleaved
/// one spreads what pp does not divide over its groups, so that rest stays.
int enough_microbatches(const models::Layout& layout) {
  const int in_flush = layout.microbatches / std::max(1, layout.flushes);
  if (layout.schedule == models::Schedule::gpipe) return in_flush;
  if (layout.schedule == models::Schedule::one_f_one_b && layout.vp == 1) return std::min(in_flush, layout.pp + 2);
  const int rest = in_flush % layout.pp;
  return std::min(in_flush, std::max(3, rest) * layout.pp + rest);
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

/// What all moments of a step share.
double fixed_bytes(const models::StaticMemory& memory) {
  return (memory.weights + memory.quantised_weights + memory.optimizer).value;
}

/// Of a rank: activations, gathered weights and gradients when they are most together.
struct Fullest {
  Held held;
  double gathered = 0, gradients = 0;
  std::optional<models::PipelineTask> task;  ///< in which; else at the end of backward

  double total() const { return held.total() + gathered + gradients; }
};

std::string moment(const Fullest& fullest) {
  if (!fullest.task) return "end of backward";
  return std::string(name(fullest.task->phase)) + " of chunk " + std::to_string(fullest.task->chunk) + ", microbatch " +
         std::to_string(fullest.task->microbatch);
}

Fullest fullest_of(const models::StaticMemory& memory, const Moments& moments) {
  const bool late = memory.gradients_in_backward;
  const auto gradients = [&](const Moment& moment) { return late ? moment.held.gradients : memory.gradients.value; };
  Fullest worst{moments.gathered.held, memory.gathered.value, gradients(moments.gathered), moments.gathered.task};
  Fullest end{moments.end.held, 0, gradients(moments.end), {}};
  worst.held.gradients = end.held.gradients = 0;  // counted apart
  return late && end.total() > worst.total() ? end : worst;
}

Memory rank_memory(const models::Run& run, const models::StepProgram& program, int stage, const Fullest& fullest) {
  const models::StaticMemory& fixed = program.stages[at(stage)].memory;
  Memory memory;
  memory.stage = stage;
  memory.available = run.cluster.gpu.memory;
  memory.moment = moment(fullest);
  memory.items = {{"weights", fixed.weights + fixed.quantised_weights},
                  {"gradients", {fullest.gradients}},
                  {"optimizer", fixed.optimizer},
                  {"activations", {fullest.held.kept}},
                  {"transient", {fullest.held.transient}},
                  {"gathered", {fullest.gathered}},
                  {"communication", {pipeline_buffers(program)}},
                  {"overhead", {program.traits.allocator_overhead_gib * hw::kGiB}}};
  for (const MemoryItem& item : memory.items) memory.peak += item.bytes;
  return memory;
}

}  // namespace

Memory predict_memory(const models::Run& run, const models::StepProgram& program,
                      const std::vector<std::vector<models::PipelineTask>>& known_orders) {
  ActivationsByChunk chunks(program);
  const bool merged = program.traits.ep_overlap;
  std::vector<std::vector<models::PipelineTask>> laid_out;
  if (known_orders.empty())
    laid_out = models::pipeline_schedule(program.layout, enough_microbatches(program.layout), {}, merged);
  const auto& orders = known_orders.empty() ? laid_out : known_orders;
  Fullest worst;
  int fullest_stage = 0;
  double most = -1;
  for (int stage = 0; stage < program.layout.pp; ++stage) {
    const models::StaticMemory& fixed = program.stages[at(stage)].memory;
    const Fullest rank = fullest_of(fixed, fullest(orders[at(stage)], chunks, merged, fixed.gradients_in_backward));
    const double bytes = rank.total() + fixed_bytes(fixed);
    if (bytes <= most) continue;
    most = bytes;
    worst = rank;
    fullest_stage = stage;
  }
  return rank_memory(run, program, fullest_stage, worst);
}

}  // namespace sim
