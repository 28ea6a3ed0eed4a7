#include "sim/shared_blocks.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "models/schedule.h"
#include "sim/predict_step.h"
#include "sim/prediction.h"
#include "sim/rank_memory.h"

namespace sim {
namespace {

/// All that the gathers and reductions of blocks depend on, given the blocks.
using DataParallelKey = std::array<int, 6>;

DataParallelKey key_of(const models::Layout& layout) {
  const bool mtp_beside_head = layout.chunks.back().mtp > 0;
  return {layout.dp, layout.fsdp, static_cast<int>(layout.zero), layout.pp > 1, layout.gpus, mtp_beside_head};
}

/// Prices of a program and what was played of it: of no use where the layout does not fit, so made when asked for.
struct Prices {
  Prices(const models::StepProgram& program, const hw::Cluster& cluster, const hw::Efficiency& efficiency)
      : model(program, cluster, efficiency), priced(model) {
    // Zero-bubble orders are laid out for times: what rounding does to those could change the order.
    if (!models::splits_backward(program.layout.schedule)) priced.join();
  }

  CostModel model;
  PricedProgram priced;
  PlayedPasses steady;                             ///< of passes without data-parallel transfers
  std::map<DataParallelKey, PlayedPasses> passes;  ///< with them
  DataParallelKey data_parallel{};                 ///< priced now
};

}  // namespace

/// A program whose blocks stay.
struct SharedBlocks::Program {
  std::vector<models::BlockVariant> variants;
  models::StepProgram program;
  DataParallelKey data_parallel{};  ///< lowered now
  std::optional<Prices> prices;
};

SharedBlocks::SharedBlocks(const models::Run& run, const hw::Efficiency& efficiency, SchedulePlans& plans)
    : cluster_(run.cluster), efficiency_(efficiency), stack_(run.traits.stack), plans_(plans) {}

SharedBlocks::~SharedBlocks() = default;

SharedBlocks::Program& SharedBlocks::program_of(const models::Run& run, models::ChunkPlan plan) {
  auto known = std::ranges::find_if(
      programs_, [&](const std::unique_ptr<Program>& program) { return program->variants == plan.variants; });
  if (known == programs_.end()) {
    programs_.push_back(std::make_unique<Program>());
    known = programs_.end() - 1;
    (*known)->variants = std::move(plan.variants);
    for (const models::BlockVariant& variant : (*known)->variants)
      (*known)->program.blocks.push_back(models::build_block(run, variant));
  }
  (*known)->program.chunks = std::move(plan.chunks);
  return **known;
}

void SharedBlocks::lay_out(const models::Run& run) {
  const models::Layout& layout = run.layout;
  const bool same_chunks = now_ && layout.schedule == now_->program.layout.schedule &&
                           layout.pp == now_->program.layout.pp && layout.chunks == now_->program.layout.chunks;
  if (!same_chunks) {
    now_ = &program_of(run, models::plan_chunks(run));
    activations_.reset();
  }
  models::StepProgram& program = now_->program;
  models::begin_layout(run, program);
  // Without FSDP, nothing that memory depends on is in the blocks' data parallelism.
  const bool of_memory = layout.fsdp > 0 || now_->data_parallel[1] > 0;
  if (of_memory) lower_data_parallel(run);
  models::lower_stages(run, program);
}

void SharedBlocks::lower_data_parallel(const models::Run& run) {
  const DataParallelKey key = key_of(run.layout);
  if (key == now_->data_parallel) return;
  now_->data_parallel = key;
  activations_.reset();
  models::lower_data_parallel(run, now_->program);
}

std::optional<hw::Bytes> SharedBlocks::peak(const models::Run& run) {
  run_ = &run;
  lay_out(run);
  if (models::splits_backward(run.layout.schedule)) return {};
  if (!activations_) activations_.emplace(now_->program);
  return peak_memory(now_->program, *activations_, plans_.memory.of(now_->program, *activations_));
}

/// The priced program of the layout at hand.
PricedProgram& SharedBlocks::priced() {
  lower_data_parallel(*run_);
  if (!on_stack_) on_stack_ = hw::on_stack(efficiency_, stack_);
  if (!now_->prices) now_->prices.emplace(now_->program, cluster_, *on_stack_);
  Prices& prices = *now_->prices;
  prices.model.place_groups();
  if (prices.data_parallel != now_->data_parallel) {
    prices.data_parallel = now_->data_parallel;
    prices.priced.price_data_parallel();
  }
  return prices.priced;
}

ChunkTable SharedBlocks::chunk_table() {
  const PricedProgram& priced = this->priced();
  Prices& prices = *now_->prices;
  PlayedPasses& passes = prices.passes[prices.data_parallel];
  return by_chunk(now_->program,
                  [&](const models::ChunkProgram& chunk) { return passes.of(priced, chunk, prices.steady); });
}

hw::Seconds SharedBlocks::least_step_time(bool closer) {
  const PricedProgram& priced = this->priced();
  const models::DataParallel& dp = now_->program.data_parallel;
  const auto transfers = [&](models::Phase kind) {
    return models::gathers(dp, kind, false) || models::reduces(dp, kind, false);
  };
  const bool played = closer && !models::splits_backward(now_->program.layout.schedule) &&
                      !transfers(models::Phase::forward) && !transfers(models::Phase::backward);
  return sim::least_step_time(priced, by_chunk(now_->program, [&](const models::ChunkProgram& chunk) {
                                return played ? now_->prices->steady.steady(priced, chunk)
                                              : least_passes(priced, chunk);
                              }));
}

hw::Seconds SharedBlocks::step_time() { return sim::step_time(priced(), chunk_table(), plans_.pipelines).time; }

Forecast SharedBlocks::forecast(const models::Run& run) {
  const std::optional<hw::Bytes> known = peak(run);
  if (known) return {step_time(), *known};
  const StepTime step = sim::step_time(priced(), chunk_table(), plans_.pipelines);
  return {step.time, predict_memory(run, now_->program, step.orders).peak};
}

hw::Seconds SharedBlocks::step_time(const models::Run& run) {
  run_ = &run;
  lay_out(run);
  return step_time();
}

std::vector<hw::Seconds> SharedBlocks::stage_work() { return sim::stage_work(priced(), chunk_table()); }

std::vector<StageLoad> SharedBlocks::stage_loads(const models::Run& run) {
  run_ = &run;
  lay_out(run);
  const StepTime step = sim::step_time(priced(), chunk_table(), plans_.pipelines);
  const std::vector<hw::Seconds> work = stage_work();
  const std::vector<hw::Bytes> peaks = stage_peaks(now_->program, step.orders);
  std::vector<StageLoad> loads;
  for (std::size_t i = 0; i < work.size(); ++i) loads.push_back({work[i], peaks[i]});
  return loads;
}

}  // namespace sim
