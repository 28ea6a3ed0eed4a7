#pragma once

#include "models/run.h"
#include "models/step_program.h"

namespace models {

/// Parameter gathers and gradient reductions of every block, and when they run: DDP, ZeRO-1, FSDP, HSDP.
void lower_data_parallel(const Run& run, StepProgram& program);

/// Per pipeline rank: its chunks, its optimizer, and the memory that it holds all the time.
void lower_stages(const Run& run, StepProgram& program);

}  // namespace models
