#pragma once

#include "models/run.h"
#include "models/step_program.h"

namespace models {

/// What distinguishes two blocks of one layer kind.
struct BlockVariant {
  BlockKind kind = BlockKind::layer;
  int layer_kind = -1;
  bool replayed = false;         ///< whole-block recompute
  bool narrow = true;            ///< runs in the recipe's quantised format (false: bf16 first and last layers)
  bool offloaded = false;        ///< kept activations wait in host memory
  bool holds_embedding = false;  ///< the token table that it shares is on no other block of its pipeline rank
  bool operator==(const BlockVariant&) const = default;
};

/// Builds forward and backward of one block.
Block build_block(const Run& run, const BlockVariant& variant);

}  // namespace models
