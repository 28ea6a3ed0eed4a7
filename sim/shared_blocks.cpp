#include "sim/shared_blocks.h"

#include <algorithm>
#include <array>
#include <utility>

#include "models/schedule.h"
#include "sim/predict_step.h"
#include "sim/prediction.h"

namespace sim {
namespace {

/// All that the gathers and reductions of blocks depend on, given the blocks.
using DataParallelKey = std::array<int, 5>;

DataParallelKey key_of(const models::Layout& layout) {
  return {layout.dp, layout.fsdp, static_cast<int>(layout.zero), layout.pp > 1, layout.gpus};
}

}  // namespace

/// A program whose blocks stay, its prices and what was played of it.
struct SharedBlocks::Program {
  Program(const models::Run& run, models::ChunkPlan plan, const hw::Cluster& cluster, const hw::Efficiency& efficiency)
      : variants(std::move(plan.variants)), model(lowered(run, plan), cluster, efficiency), priced(model) {}

  const models::StepProgram& lowered(const models::Run& run, const models::ChunkPlan& plan) {
    for (const models::BlockVariant& variant : variants) program.blocks.push_back(models::build_block(run, variant));
    program.chunks = plan.chunks;
    models::begin_layout(run, program);
    models::lower_data_parallel(run, program);
    return program;
  }

  std::vector<models::BlockVariant> variants;
  models::StepProgram program;
  CostModel model;
  PricedProgram priced;
  PlayedPasses passes;
  DataParallelKey data_parallel{};
};

SharedBlocks::SharedBlocks(const models::Run& run, const hw::Efficiency& efficiency, SchedulePlans& plans)
    : cluster_(run.cluster), efficiency_(hw::on_stack(efficiency, run.traits.stack)), plans_(plans) {}

SharedBlocks::~SharedBlocks() = default;

SharedBlocks::Program& SharedBlocks::program_of(const models::Run& run, models::ChunkPlan plan) {
  const auto known = std::ranges::find_if(
      programs_, [&](const std::unique_ptr<Program>& program) { return program->variants == plan.variants; });
  if (known != programs_.end()) {
    (*known)->program.chunks = std::move(plan.chunks);
    return **known;
  }
  return *programs_.emplace_back(std::make_unique<Program>(run, std::move(plan), cluster_, efficiency_));
}

void SharedBlocks::lay_out(const models::Run& run) {
  now_ = &program_of(run, models::plan_chunks(run));
  models::StepProgram& program = now_->program;
  models::begin_layout(run, program);
  now_->model.place_groups();
  const DataParallelKey key = key_of(run.layout);
  if (key != now_->data_parallel) {
    now_->data_parallel = key;
    models::lower_data_parallel(run, program);
    now_->priced.price_data_parallel();
    now_->passes.forget_data_parallel();
  }
  models::lower_stages(run, program);
}

std::optional<hw::Bytes> SharedBlocks::peak(const models::Run& run) {
  lay_out(run);
  if (models::splits_backward(run.layout.schedule)) return {};
  return plans_.memory.peak(now_->program);
}

hw::Seconds SharedBlocks::least_step_time(bool closer) {
  const models::DataParallel& dp = now_->program.data_parallel;
  const auto transfers = [&](models::Phase kind) {
    return models::gathers(dp, kind, false) || models::reduces(dp, kind, false);
  };
  const bool played = closer && !models::splits_backward(now_->program.layout.schedule) &&
                      !transfers(models::Phase::forward) && !transfers(models::Phase::backward);
  return sim::least_step_time(now_->priced, by_chunk(now_->program, [&](const models::ChunkProgram& chunk) {
                                return played ? now_->passes.steady(now_->priced, chunk)
                                              : least_passes(now_->priced, chunk);
                              }));
}

hw::Seconds SharedBlocks::step_time() {
  const ChunkTable table =
      by_chunk(now_->program, [&](const models::ChunkProgram& chunk) { return now_->passes.of(now_->priced, chunk); });
  return sim::step_time(now_->priced, table, plans_.pipelines).time;
}

Forecast SharedBlocks::forecast(const models::Run& run) {
  const std::optional<hw::Bytes> known = peak(run);
  if (known) return {step_time(), *known};
  const ChunkTable table =
      by_chunk(now_->program, [&](const models::ChunkProgram& chunk) { return now_->passes.of(now_->priced, chunk); });
  const StepTime step = sim::step_time(now_->priced, table, plans_.pipelines);
  return {step.time, predict_memory(run, now_->program, step.orders).peak};
}

}  // namespace sim
