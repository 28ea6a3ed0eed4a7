#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "models/schedule.h"
#include "models/step_program.h"
#include "sim/by_chunk.h"

/// Activations of one chunk and microbatch: what predict_memory adds up over a rank's tasks.
namespace sim {

/// Activation bytes at one moment.
struct Held {
  double kept = 0;       ///< for a later backward
  double transient = 0;  ///< in use by the running op besides
  double gradients = 0;  ///< that have appeared so far, where they do in backward

  double total() const { return kept + transient + gradients; }
};

/// One chunk and microbatch; `in_*` are worst moments within a pass, counted from an empty rank.
struct ChunkActivations {
  std::vector<const models::Block*> blocks;  ///< in order, repeated ones too
  double kept = 0;                           ///< between forward and backward
  double held = 0;                           ///< between input gradients and weight gradients
  double late_gradients = 0;                 ///< from the first backward pass on
  Held in_forward, in_backward, in_input_grad;
  Held in_first_backward, behind_first_backward;  ///< with gradients; the second has no gathered weights any more
};

/// By walking over the chunk's blocks.
ChunkActivations activations(const models::StepProgram& program, const models::ChunkProgram& chunk);

/// A forward and another microbatch's backward run side by side, block by block (Megatron-Core
/// combined_1f1b.py): what one keeps takes the place of what the other releases. Counted besides the backward's kept.
Held in_merged(const ChunkActivations& forward, const ChunkActivations& backward);

/// Activations of all chunks, and what each pair holds while merged, which is worked out when first asked for.
class ActivationsByChunk {
 public:
  explicit ActivationsByChunk(const models::StepProgram& program)
      : chunks_(by_chunk(program, [&](const models::ChunkProgram& chunk) { return activations(program, chunk); })),
        merged_(distinct().size() * distinct().size()) {}

  const ChunkActivations& of(int chunk) const { return chunks_.of(chunk); }
  std::size_t size() const { return chunks_.index.size(); }
  const std::vector<ChunkActivations>& distinct() const { return chunks_.distinct; }
  /// By chunk, which of the distinct ones it is.
  const std::vector<int>& kinds() const { return chunks_.index; }
  const Held& merged(int forward, int backward) {
    return merged_kinds(chunks_.index[static_cast<std::size_t>(forward)],
                        chunks_.index[static_cast<std::size_t>(backward)]);
  }
  /// Of distinct chunks.
  const Held& merged_kinds(int forward, int backward) {
    auto& held = merged_[static_cast<std::size_t>(forward) * distinct().size() + static_cast<std::size_t>(backward)];
    if (!held)
      held = in_merged(distinct()[static_cast<std::size_t>(forward)], distinct()[static_cast<std::size_t>(backward)]);
    return *held;
  }

 private:
  ByChunk<ChunkActivations> chunks_;
  std::vector<std::optional<Held>> merged_;  ///< by distinct forward and backward chunk
};

}  // namespace sim
