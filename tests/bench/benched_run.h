#pragma once

#include <string>

#include "hw/efficiency.h"
#include "hw/node.h"
#include "models/run.h"

namespace bench {

/// configs/runs/deepseek-v3-h100-1024.json (DeepSeek-V3, tp 2, pp 8 of 4 chunks, ep 64) on `gpus` GPUs, a multiple of
/// 512. The global batch grows along, so that only dp differs: each GPU has the same work.
hw::Node description(int gpus);

/// The path of that file.
std::string description_file();

/// What a prediction reads.
struct BenchedRun {
  models::Run run;
  hw::Efficiency efficiency;
};
BenchedRun benched_run(int gpus);

}  // namespace bench
