#pragma once

#include <cstdint>
#include <vector>

#include "models/schedule.h"
#include "models/step_program.h"

namespace models {

/// Which list of its block an op is in.
enum class OpList : std::uint8_t { forward, backward, gather, reduce };

/// One op of an expanded pass: `blocks[block].<list>[op]`, the block standing at `position` of the pass in execution
/// order.
struct PassOp {
  std::int16_t position = 0, block = 0;
  std::int32_t layer = -1;  ///< of the model; -1 for embedding and head
  OpList list = OpList::forward;
  std::int16_t op = 0;
};

/// Blocks of a pass over a chunk in execution order: `position` in the chunk's own order for forward, reversed for all
/// phases of backward.
struct PassBlock {
  std::int16_t block = 0;
  std::int32_t layer = -1;
};
std::vector<PassBlock> pass_blocks(const ChunkProgram& chunk, Phase phase);

/// Whether a pass gathers parameters or reduces gradients block by block, in a microbatch that is the step's first (its
/// forwards) or last (its backwards), `edge`, or in neither.
bool gathers(const DataParallel& when, Phase phase, bool edge);
bool reduces(const DataParallel& when, Phase phase, bool edge);
/// Whether that is done once a step behind all passes: the reductions, then the optimizer, then the gathers.
bool gathers_at_the_end(const DataParallel& when);
bool reduces_at_the_end(const DataParallel& when);

/// Id of an op in a step: the same in simulator and executor. Unique within a pipeline rank and flush.
///   task  index in the rank's schedule;  position, list, op  as in PassOp; op < 2^14
constexpr std::int64_t op_id(std::int64_t task, int position, OpList list, int op) {
  return (task << 32) | (static_cast<std::int64_t>(position) << 16) | (static_cast<std::int64_t>(list) << 14) | op;
}

/// In place of the task, of what runs once behind all tasks: transfers of data parallelism that nothing hides, whose
/// position counts the rank's blocks (chunk by chunk, in the order of forward), and, as list forward at position 0, the
/// optimizer.
constexpr std::int64_t kEndOfStep = (1 << 30) - 1;

/// What op_id was made of.
struct OpPlace {
  std::int64_t task = 0;
  int position = 0;
  OpList list = OpList::forward;
  int op = 0;
};
constexpr OpPlace op_place(std::int64_t id) {
  return {id >> 32, static_cast<int>(id >> 16 & 0xFFFF), static_cast<OpList>(id >> 14 & 3),
          static_cast<int>(id & 0x3FFF)};
}

/// What one pipeline rank does in a flush. Tasks of one chunk and phase have the same ops, which are listed once.
struct RankProgram {
  int stage = 0;
  std::vector<PipelineTask> tasks;          ///< in order
  std::vector<int> pass;                    ///< by task: index into `passes`
  std::vector<std::vector<PassOp>> passes;  ///< ops in issue order, without gathers and reductions

  std::int64_t id(int task, const PassOp& op) const { return op_id(task, op.position, op.list, op.op); }
};

/// The ops of one list of a block.
const std::vector<Op>& ops_of(const Block& block, OpList list);

/// Blocks of a pipeline rank, chunk by chunk in the order of forward.
std::vector<PassBlock> stage_blocks(const StepProgram& program, int stage);

/// Expands the tasks of pipeline rank `stage`.
RankProgram expand(const StepProgram& program, int stage, const PhaseTimes& times = {});

}  // namespace models
