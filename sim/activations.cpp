#include "sim/activations.h"

#include <algorithm>

namespace sim {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

void raise(Held& worst, double kept, double transient, double gradients = 0) {
  if (kept + transient + gradients > worst.total()) worst = {kept, transient, gradients};
}

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

}  // namespace

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

}  // namespace sim
