#include "sim/rank_memory.h"

#include <algorithm>
#include <variant>

namespace sim {

const Held& held_in(MemoryPass pass, const ChunkActivations& chunk) {
  switch (pass) {
    case MemoryPass::forward: return chunk.in_forward;
    case MemoryPass::first_backward: return chunk.in_first_backward;
    case MemoryPass::behind_first_backward: return chunk.behind_first_backward;
    case MemoryPass::input_grad: return chunk.in_input_grad;
    case MemoryPass::backward: break;
  }
  return chunk.in_backward;
}

void raise(Moments& moments, const Beside& beside, MemoryPass pass, const Held& held,
           const models::PipelineTask& task) {
  Moment& worst = pass == MemoryPass::behind_first_backward ? moments.end : moments.gathered;
  if (beside.kept + beside.gradients + held.total() > worst.held.total())
    worst = {{beside.kept + held.kept, held.transient, beside.gradients + held.gradients}, task};
}

Fullest fullest_of(const models::StaticMemory& memory, const Moments& moments) {
  const bool late = memory.gradients_in_backward;
  const auto gradients = [&](const Moment& moment) { return late ? moment.held.gradients : memory.gradients.value; };
  Fullest worst{moments.gathered.held, memory.gathered.value, gradients(moments.gathered), moments.gathered.task};
  Fullest end{moments.end.held, 0, gradients(moments.end), {}};
  worst.held.gradients = end.held.gradients = 0;  // counted apart
  return late && end.total() > worst.total() ? end : worst;
}

double fixed_bytes(const models::StaticMemory& memory) {
  return (memory.weights + memory.quantised_weights + memory.optimizer).value;
}

double pipeline_buffers(const models::StepProgram& program) {
  const auto* send = std::get_if<models::SendRecv>(&program.send.work);
  return program.layout.pp > 1 && send ? 2 * send->payload.value : 0;
}

int enough_microbatches(const models::Layout& layout) {
  const int in_flush = layout.microbatches / std::max(1, layout.flushes);
  if (layout.schedule == models::Schedule::gpipe) return in_flush;
  if (layout.schedule == models::Schedule::one_f_one_b && layout.vp == 1) return std::min(in_flush, layout.pp + 2);
  const int rest = in_flush % layout.pp;
  return std::min(in_flush, std::max(3, rest) * layout.pp + rest);
}

}  // namespace sim
