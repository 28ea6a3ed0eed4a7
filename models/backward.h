#pragma once

#include "models/block_builder.h"

namespace models {

/// Which forward ops of a block are run again in backward instead of keeping what they made.
struct Replay {
  bool whole_block = false;  ///< full recompute: only the block's inputs are kept, and what a head in it reads
  bool early_stop = false;   ///< replay ends with the last tensor that backward needs (torch, non-reentrant)
  RecomputeModules modules;  ///< selective
};

/// Derives block.backward from block.forward, op kind by op kind, in reverse order (reverse-mode differentiation):
/// casts of incoming gradients, input gradients, weight gradients of trained weights, sums where a tensor was read
/// more than once, and the adjoint of every collective. The loss starts the chain; other blocks get the gradient of
/// their output from the block after them.
void differentiate(BlockBuilder& builder);

/// Inserts into block.backward, before their first reader, the forward ops whose results are not kept, and marks the
/// tensors that are.
void insert_replay(Block& block, const Replay& replay);

/// Fills what follows from the op lists: needs, host cost inside CUDA graphs, TP pipelining, kept bytes and peaks.
void finish_block(Block& block, const BlockContext& context);

}  // namespace models
