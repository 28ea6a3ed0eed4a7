#include "models/expand.h"

#include <algorithm>
#include <utility>

namespace models {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

std::vector<PassOp> pass_ops(const StepProgram& program, int chunk, Phase phase) {
  std::vector<PassOp> ops;
  std::int16_t position = 0;
  for (const PassBlock& place : pass_blocks(program.chunks[at(chunk)], phase)) {
    const Block& block = program.blocks[at(place.block)];
    const bool forward = phase == Phase::forward;
    const std::vector<Op>& list = forward ? block.forward : block.backward;
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (phase == Phase::input_grad && list[i].weight_gradient) continue;
      if (phase == Phase::weight_grad && !list[i].weight_gradient) continue;
      ops.push_back({.position = position,
                     .block = place.block,
                     .layer = place.layer,
                     .list = forward ? OpList::forward : OpList::backward,
                     .op = static_cast<std::int16_t>(i)});
    }
    ++position;
  }
  return ops;
}

}  // namespace

std::vector<PassBlock> pass_blocks(const ChunkProgram& chunk, Phase phase) {
  std::vector<PassBlock> blocks;
  for (const BlockRun& run : chunk.blocks)
    for (int i = 0; i < run.count; ++i)
      blocks.push_back({.block = run.block, .layer = run.first_layer < 0 ? -1 : run.first_layer + i});
  if (phase != Phase::forward) std::reverse(blocks.begin(), blocks.end());
  return blocks;
}

bool gathers(const DataParallel& when, Phase phase, bool edge) {
  if (phase == Phase::weight_grad) return false;
  if (phase == Phase::forward)
    return when.gather == When::every_pass || when.gather == When::every_microbatch ||
           (when.gather == When::once_a_step && edge && when.gather_overlap);
  return when.gather == When::every_pass;
}

bool reduces(const DataParallel& when, Phase phase, bool edge) {
  if (phase == Phase::forward || phase == Phase::input_grad) return false;
  return when.reduce == When::every_pass || when.reduce == When::every_microbatch ||
         (when.reduce == When::once_a_step && edge && when.reduce_overlap);
}

bool gathers_at_the_end(const DataParallel& when) { return when.gather == When::once_a_step && !when.gather_overlap; }

bool reduces_at_the_end(const DataParallel& when) { return when.reduce == When::once_a_step && !when.reduce_overlap; }

const std::vector<Op>& ops_of(const Block& block, OpList list) {
  switch (list) {
    case OpList::forward: return block.forward;
    case OpList::backward: return block.backward;
    case OpList::gather: return block.gather;
    case OpList::reduce: break;
  }
  return block.reduce;
}

std::vector<PassBlock> stage_blocks(const StepProgram& program, int stage) {
  std::vector<PassBlock> blocks;
  for (const int chunk : program.stages[at(stage)].chunks) {
    const std::vector<PassBlock> of_chunk = pass_blocks(program.chunks[at(chunk)], Phase::forward);
    blocks.insert(blocks.end(), of_chunk.begin(), of_chunk.end());
  }
  return blocks;
}

RankProgram expand(const StepProgram& program, int stage, const PhaseTimes& times) {
  RankProgram rank{.stage = stage, .tasks = {}, .pass = {}, .passes = {}};
  const int microbatches = program.layout.microbatches / std::max(1, program.layout.flushes);
  rank.tasks = rank_schedule(program.layout, stage, microbatches, times, program.traits.ep_overlap);
  std::vector<std::pair<int, Phase>> known;
  for (const PipelineTask& task : rank.tasks) {
    const std::pair<int, Phase> key{task.chunk, task.phase};
    const auto found = std::find(known.begin(), known.end(), key);
    rank.pass.push_back(static_cast<int>(found - known.begin()));
    if (found != known.end()) continue;
    known.push_back(key);
    rank.passes.push_back(pass_ops(program, task.chunk, task.phase));
  }
  return rank;
}

}  // namespace models
