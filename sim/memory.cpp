#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "models/schedule.h"
#include "sim/prediction.h"
#include "sim/rank_memory.h"

namespace sim {
namespace {

using models::Phase;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// Adds activations and gradients up over the tasks of a rank.
class RankWalk {
 public:
  explicit RankWalk(ActivationsByChunk& chunks) : chunks_(chunks) {}

  void consider(MemoryPass pass, const models::PipelineTask& task) {
    raise(moments_, now_, pass, held_in(pass, chunks_.of(task.chunk)), task);
  }
  void consider_merged(const models::PipelineTask& task, const models::PipelineTask& next) {
    raise(moments_, now_, MemoryPass::backward, chunks_.merged(task.chunk, next.chunk), next);
  }
  void keep(int chunk) { now_.kept += chunks_.of(chunk).kept; }
  void release(int chunk) { now_.kept -= chunks_.of(chunk).kept; }
  void hold(int chunk) { now_.kept += chunks_.of(chunk).held; }
  void let_go(int chunk) { now_.kept -= chunks_.of(chunk).held; }
  void gradients(int chunk) { now_.gradients += chunks_.of(chunk).late_gradients; }

  const Moments& moments() const { return moments_; }

 private:
  ActivationsByChunk& chunks_;
  Moments moments_;
  Beside now_;
};

const char* name(Phase phase) {
  switch (phase) {
    case Phase::forward: return "forward";
    case Phase::backward: return "backward";
    case Phase::input_grad: return "input gradients";
    case Phase::weight_grad: return "weight gradients";
  }
  return "";
}

std::string moment(const Fullest& fullest) {
  if (!fullest.task) return "end of backward";
  return std::string(name(fullest.task->phase)) + " of chunk " + std::to_string(fullest.task->chunk) + ", microbatch " +
         std::to_string(fullest.task->microbatch);
}

Memory rank_memory(const models::Run& run, const models::StepProgram& program, int stage, const Fullest& fullest) {
  const models::StaticMemory& fixed = program.stages[at(stage)].memory;
  Memory memory;
  memory.stage = stage;
  memory.available = run.cluster.gpu.memory;
  memory.moment = moment(fullest);
  memory.items = {{"weights", fixed.weights + fixed.quantised_weights},
                  {"gradients", {fullest.gradients}},
                  {"optimizer", fixed.optimizer},
                  {"activations", {fullest.held.kept}},
                  {"transient", {fullest.held.transient}},
                  {"gathered", {fullest.gathered}},
                  {"communication", {pipeline_buffers(program)}},
                  {"overhead", {program.traits.allocator_overhead_gib * hw::kGiB}}};
  for (const MemoryItem& item : memory.items) memory.peak += item.bytes;
  return memory;
}

/// Of every pipeline rank.
std::vector<Fullest> fullest_moments(const models::StepProgram& program,
                                     const std::vector<std::vector<models::PipelineTask>>& known_orders) {
  ActivationsByChunk chunks(program);
  const bool merged = program.traits.ep_overlap;
  std::vector<std::vector<models::PipelineTask>> laid_out;
  if (known_orders.empty())
    laid_out = models::pipeline_schedule(program.layout, enough_microbatches(program.layout), {}, merged);
  const auto& orders = known_orders.empty() ? laid_out : known_orders;
  std::vector<Fullest> ranks;
  for (int stage = 0; stage < program.layout.pp; ++stage) {
    const models::StaticMemory& fixed = program.stages[at(stage)].memory;
    RankWalk walk(chunks);
    walk_memory(orders[at(stage)], chunks.size(), merged, fixed.gradients_in_backward, walk);
    ranks.push_back(fullest_of(fixed, walk.moments()));
  }
  return ranks;
}

double held_by(const models::StepProgram& program, int stage, const Fullest& fullest) {
  return fullest.total() + fixed_bytes(program.stages[at(stage)].memory);
}

}  // namespace

Memory predict_memory(const models::Run& run, const models::StepProgram& program,
                      const std::vector<std::vector<models::PipelineTask>>& known_orders) {
  const std::vector<Fullest> ranks = fullest_moments(program, known_orders);
  int fullest_stage = 0;
  for (int stage = 1; stage < program.layout.pp; ++stage)
    if (held_by(program, stage, ranks[at(stage)]) > held_by(program, fullest_stage, ranks[at(fullest_stage)]))
      fullest_stage = stage;
  return rank_memory(run, program, fullest_stage, ranks[at(fullest_stage)]);
}

std::vector<hw::Bytes> stage_peaks(const models::StepProgram& program,
                                   const std::vector<std::vector<models::PipelineTask>>& known_orders) {
  const std::vector<Fullest> ranks = fullest_moments(program, known_orders);
  const double everywhere = pipeline_buffers(program) + program.traits.allocator_overhead_gib * hw::kGiB;
  std::vector<hw::Bytes> peaks;
  peaks.reserve(ranks.size());
  for (int stage = 0; stage < program.layout.pp; ++stage)
    peaks.push_back({held_by(program, stage, ranks[at(stage)]) + everywhere});
  return peaks;
}

}  // namespace sim
