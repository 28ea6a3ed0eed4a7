#pragma once

#include <vector>

#include "models/lower_blocks.h"
#include "models/run.h"
#include "models/step_program.h"

/// lower() in parts. Blocks are what costs time to lower; layouts that only differ in what lies between blocks share
/// them: all but plan_chunks may be called again on the same program, for another layout of the run.
namespace models {

/// What the run's chunks are made of: `variants[i]` becomes block i.
struct ChunkPlan {
  std::vector<BlockVariant> variants;
  std::vector<ChunkProgram> chunks;
};
ChunkPlan plan_chunks(const Run& run);

/// Layout, traits, groups, pipeline transfers.
void begin_layout(const Run& run, StepProgram& program);

/// Parameter gathers and gradient reductions of every block, and when they run: DDP, ZeRO-1, FSDP, HSDP. Of the chunks
/// only reads whether MTP modules and the head lie together.
void lower_data_parallel(const Run& run, StepProgram& program);

/// Per pipeline rank: its chunks, its optimizer, and the memory that it holds all the time.
void lower_stages(const Run& run, StepProgram& program);

}  // namespace models
