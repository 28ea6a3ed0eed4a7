#include <algorithm>
#include <cmath>

#include "models/lower.h"
#include "models/model_flops.h"
#include "sim/predict_step.h"
#include "sim/predict_timeline.h"
#include "sim/prediction.h"

namespace sim {
namespace {

/// Peak that MFU is stated against: the format of the quantised matmuls; block-scaled FP8 runs on the FP8 units.
hw::FlopsPerSecond peak_rate(const models::Run& run) {
  const auto& peak = run.cluster.gpu.peak;
  const hw::DType type = models::matmul_type(run.precision);
  const hw::FlopsPerSecond rate = peak[static_cast<std::size_t>(type)];
  if (rate.value > 0) return rate;
  const bool fp8 = type == hw::DType::mxfp8 || type == hw::DType::fp8_block;
  return peak[static_cast<std::size_t>(fp8 ? hw::DType::fp8 : hw::DType::bf16)];
}

models::TrainedPart trained_part(const models::Run& run, const models::StepProgram& program) {
  models::TrainedPart part{.lora = run.lora.has_value()};
  part.packed_mean_square = part.lora ? run.packed_tokens * run.packed_length : 0;
  if (!part.lora) return part;
  double trained = 0, all = 0;
  for (const models::ChunkProgram& chunk : program.chunks) {
    for (const models::BlockRun& blocks : chunk.blocks) {
      const auto& p = program.blocks[static_cast<std::size_t>(blocks.block)].parameters;
      trained += blocks.count * (p.trainable_dense + p.trainable_expert * program.layout.ep);
      all += blocks.count * (p.dense + p.expert * program.layout.ep);
    }
  }
  if (all > trained) part.trainable_fraction = trained / (all - trained);
  return part;
}

void fill_throughput(const models::Run& run, const models::StepProgram& program, Prediction& prediction) {
  const models::Layout& layout = run.layout;
  const double tokens = static_cast<double>(layout.gbs) * static_cast<double>(layout.seq_len);
  const double per_gpu = tokens / layout.gpus / prediction.step_time.value;
  const hw::Flops flops =
      models::model_flops_per_token(run.model, layout.seq_len, layout.tp, run.flops, trained_part(run, program));
  prediction.tokens_per_s_per_gpu = per_gpu;
  prediction.tflops_per_gpu = flops.value * per_gpu / 1e12;
  const hw::FlopsPerSecond peak = peak_rate(run);
  if (peak.value > 0) prediction.mfu = flops.value * per_gpu / peak.value;
}

/// Recompute policies from least to most, for runs whose source does not state theirs.
std::vector<std::pair<const char*, models::Recompute>> recompute_ladder() {
  using models::RecomputeMode;
  models::RecomputeModules core{.core_attention = true};
  models::RecomputeModules light = core;
  light.layernorm = light.mla_up_proj = light.moe_act = true;
  models::RecomputeModules heavy = light;
  heavy.mlp = heavy.shared_experts = true;
  models::RecomputeModules most = heavy;
  most.moe = true;
  return {{"selective (core_attention)", {.mode = RecomputeMode::selective, .modules = core}},
          {"selective (core_attention, layernorm, mla_up_proj, moe_act)",
           {.mode = RecomputeMode::selective, .modules = light}},
          {"selective (the same, mlp, shared_experts)", {.mode = RecomputeMode::selective, .modules = heavy}},
          {"selective (the same, moe)", {.mode = RecomputeMode::selective, .modules = most}},
          {"full", {.mode = RecomputeMode::full, .modules = {}}}};
}

}  // namespace

double interval_factor(const models::Run& run, const hw::Intervals& intervals) {
  return std::exp(hw::half_width(intervals, {.family = static_cast<int>(run.model.family()),
                                             .model = run.model.name,
                                             .system = run.cluster.name,
                                             .framework = run.framework,
                                             .assumed = !run.assumed.empty() || !run.not_understood.empty()}));
}

LoweredRun lower_to_fit(const models::Run& run) {
  LoweredRun lowered{run, models::lower(run)};
  if (run.recompute_known || predict_memory(run, lowered.program).fits()) return lowered;
  for (const auto& [name, recompute] : recompute_ladder()) {
    lowered.run.recompute = recompute;
    lowered.program = models::lower(lowered.run);
    const bool fits = predict_memory(lowered.run, lowered.program).fits();
    if (!fits && recompute.mode != models::RecomputeMode::full) continue;
    lowered.run.assumed.push_back(std::string("recompute: ") + name +
                                  (fits ? ", the least that fits" : ", and even so it does not fit"));
    break;
  }
  return lowered;
}

hw::Seconds predict_step_time(const LoweredRun& lowered, const hw::Efficiency& efficiency, Tier tier) {
  const hw::Efficiency on_this_stack = hw::on_stack(efficiency, lowered.run.traits.stack);
  const CostModel model(lowered.program, lowered.run.cluster, on_this_stack);
  const PricedProgram priced(model);
  return {step_cost(priced, chunk_costs(priced, tier), tier).parts.total()};
}

Prediction predict(const models::Run& run, const hw::Efficiency& efficiency, Tier tier, models::Timeline* timeline) {
  const LoweredRun lowered = lower_to_fit(run);
  return predict(lowered.run, lowered.program, efficiency, tier, timeline);
}

Prediction predict(const models::Run& run, const models::StepProgram& program, const hw::Efficiency& efficiency,
                   Tier tier, models::Timeline* timeline) {
  const hw::Efficiency on_this_stack = hw::on_stack(efficiency, run.traits.stack);
  const CostModel model(program, run.cluster, on_this_stack);
  const PricedProgram priced(model);
  const ChunkCosts chunks = chunk_costs(priced, tier);
  const StepCost step = step_cost(priced, chunks, tier);

  Prediction prediction;
  prediction.step_time = {step.parts.total()};
  const double factor = efficiency.intervals ? interval_factor(run, *efficiency.intervals) : 1;
  prediction.low = prediction.step_time / factor;
  prediction.high = prediction.step_time * factor;
  prediction.breakdown = breakdown_items(step.parts);
  for (int i = 0; i < hw::kOrigins; ++i)
    prediction.origin[static_cast<std::size_t>(i)] = {step.work.origin[static_cast<std::size_t>(i)]};
  prediction.ideal = {step.work.ideal};
  prediction.bubble = step.parts[Part::bubble] / step.parts.total();
  // Only the zero-bubble orders depend on the times, and cost something to lay out again.
  const bool keep_orders = models::splits_backward(program.layout.schedule);
  prediction.memory = keep_orders ? predict_memory(run, program, step.orders) : predict_memory(run, program);
  prediction.assumed = run.assumed;
  fill_throughput(run, program, prediction);
  if (timeline && tier == Tier::events) fill_timeline(priced, step, *timeline, prediction.assumed);
  return prediction;
}

}  // namespace sim
