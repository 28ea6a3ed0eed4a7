#include <algorithm>

#include "models/lower_layout.h"
#include "models/numerics.h"

namespace models {
namespace {

/// Over how many ranks weights, gradients and optimizer states of dense and expert parameters are divided.
struct Shards {
  double dense_weights = 1, expert_weights = 1, dense_states = 1, expert_states = 1;
};

Shards shards_of(const Run& run) {
  const Layout& l = run.layout;
  Shards shards;
  if (l.fsdp > 0) {
    shards.dense_weights = shards.dense_states = l.fsdp;
    shards.expert_weights = shards.expert_states = l.expert_dp();
  } else if (l.zero == Zero::optimizer) {
    shards.dense_states = l.dp * l.cp;
    shards.expert_states = l.expert_dp();
  }
  return shards;
}

/// Of these parameters, those that FSDP gathers: a group of one holds its parameters whole.
double gathered_of(const BlockParameters& p, const Shards& s) {
  return (s.dense_weights > 1 ? p.dense : 0) + (s.expert_weights > 1 ? p.expert : 0);
}

/// Parameters that one pipeline rank holds, before they are divided over data parallelism.
struct Held {
  BlockParameters all;
  double largest_gathered = 0;  ///< of one block, what FSDP gathers
};

void add(BlockParameters& sum, const BlockParameters& more, double times) {
  sum.dense += times * more.dense;
  sum.expert += times * more.expert;
  sum.trainable_dense += times * more.trainable_dense;
  sum.trainable_expert += times * more.trainable_expert;
  sum.quantised_dense += times * more.quantised_dense;
  sum.quantised_expert += times * more.quantised_expert;
}

Held held_by(const Run& run, const StepProgram& program, const StageProgram& stage) {
  Held held;
  const Shards shards = shards_of(run);
  for (const int c : stage.chunks) {
    for (const BlockRun& part : program.chunks[static_cast<std::size_t>(c)].blocks) {
      const Block& block = program.blocks[static_cast<std::size_t>(part.block)];
      const bool shared = block.kind == BlockKind::mtp && run.model.mtp.shared;
      add(held.all, block.parameters, shared ? 1 : part.count);
      held.largest_gathered = std::max(held.largest_gathered, gathered_of(block.parameters, shards));
    }
  }
  return held;
}

double optimizer_state_bytes(const Traits& traits) {
  const double moments = (traits.muon ? 1 : 2) * hw::bytes_per_element(traits.moment_dtype);
  return moments + (traits.master_weights ? 4 : 0);
}

/// FSDP that defers its reduction accumulates whole gradients, dense ones in the type that they are reduced in (torch
/// FSDP2's unsharded_accumulated_grad; expert groups take the parameters' type).
hw::Bytes gradient_bytes(const Run& run, const BlockParameters& p, const Shards& s) {
  const Traits& t = run.traits;
  const double gradient = hw::bytes_per_element(t.grad_dtype), reduced = hw::bytes_per_element(t.grad_reduce_dtype);
  if (run.layout.fsdp == 0) return {gradient * (p.trainable_dense + p.trainable_expert)};
  if (t.fsdp_defer_reduce && run.layout.microbatches > 1)
    return {std::max(gradient, reduced) * p.trainable_dense + gradient * p.trainable_expert};
  return {gradient * (p.trainable_dense / s.dense_weights + p.trainable_expert / s.expert_weights)};
}

StaticMemory memory_of(const Run& run, const StepProgram& program, const Held& held) {
  const Traits& t = run.traits;
  const BlockParameters& p = held.all;
  const Shards s = shards_of(run);
  const double parameter = hw::bytes_per_element(t.param_dtype);
  const hw::DType narrow = matmul_type(run.precision);
  const bool fsdp = run.layout.fsdp > 0;

  StaticMemory memory;
  memory.weights = {parameter * (p.dense / s.dense_weights + p.expert / s.expert_weights)};
  if (quantised(run.precision)) {
    // Row-wise and column-wise copies; where the parameters themselves are kept narrow, no 16-bit copy beside them.
    const double copies = 2 * hw::bytes_per_element(narrow);
    const bool primary = t.param_gather_dtype == narrow;
    // Cached copies of weights that FSDP keeps gathered are whole; others are divided like the weights.
    const bool whole = fsdp && !primary && program.data_parallel.gather != When::every_pass;
    const double quantised = whole ? p.quantised_dense + p.quantised_expert
                                   : p.quantised_dense / s.dense_weights + p.quantised_expert / s.expert_weights;
    memory.quantised_weights = {(copies - (primary ? parameter : 0)) * quantised};
  }
  const double trained = p.trainable_dense / s.dense_states + p.trainable_expert / s.expert_states;
  memory.optimizer = {optimizer_state_bytes(t) * trained};
  memory.gradients = gradient_bytes(run, p, s);
  if (fsdp) {
    memory.gradients_in_backward = true;
    const double gathered = hw::bytes_per_element(storage_type(run.precision));
    const bool resharded = program.data_parallel.gather == When::every_pass;
    // The block that runs and the one fetched ahead; without prefetch the blocks say it themselves.
    const double ahead = program.data_parallel.prefetch ? 2 * held.largest_gathered : 0;
    memory.gathered = {gathered * (resharded ? ahead : gathered_of(p, s))};
  }
  return memory;
}

/// Bytes that the optimizer's kernels move per owned parameter: gradient, states and weights in and out, and with
/// clipping a pass for the norm and one to scale. torch's foreach Adam makes about twenty passes in the parameter's
/// type.
double optimizer_bytes(const Traits& t) {
  const double gradient = hw::bytes_per_element(t.grad_dtype), parameter = hw::bytes_per_element(t.param_dtype);
  if (!t.fused_optimizer) return 20 * parameter;
  const double master = t.master_weights ? 8 + parameter : 2 * parameter;
  const double clip = t.clip_gradients ? 3 * gradient : 0;
  return gradient + master + 4 * hw::bytes_per_element(t.moment_dtype) + clip;
}

Op optimizer_step(const Run& run, const Held& held) {
  const Shards s = shards_of(run);
  const BlockParameters& p = held.all;
  const double owned = p.trainable_dense / s.dense_states + p.trainable_expert / s.expert_states;
  const double zeroing = hw::bytes_per_element(run.traits.grad_dtype) * (p.trainable_dense + p.trainable_expert);
  // Muon: five Newton-Schulz iterations of three products of the smaller side, about 15 * 2 * side FLOPs a parameter.
  const double muon = run.traits.muon ? 30.0 * static_cast<double>(run.model.hidden) * owned : 0;
  return {.name = "optimizer",
          .work = OptimizerStep{.parameters = static_cast<std::int64_t>(owned),
                                .bytes = {owned * optimizer_bytes(run.traits) + zeroing},
                                .flops = {muon}},
          .module = Module::optimizer,
          .host_ops = 20,
          .reads = {},
          .writes = {},
          .needs = {}};
}

void fill_late_gradients(const Run& run, StepProgram& program) {
  for (Block& block : program.blocks) block.late_gradients = gradient_bytes(run, block.parameters, shards_of(run));
}

}  // namespace

void lower_stages(const Run& run, StepProgram& program) {
  if (run.layout.fsdp > 0) fill_late_gradients(run, program);
  program.stages.resize(static_cast<std::size_t>(run.layout.pp));
  for (StageProgram& stage : program.stages) {  // memory of the layout before stays allocated
    stage.chunks.clear();
    stage.optimizer.clear();
  }
  for (std::size_t c = 0; c < program.chunks.size(); ++c)
    program.stages[static_cast<std::size_t>(program.chunks[c].stage)].chunks.push_back(static_cast<int>(c));
  for (StageProgram& stage : program.stages) {
    const Held held = held_by(run, program, stage);
    stage.memory = memory_of(run, program, held);
    stage.optimizer.push_back(optimizer_step(run, held));
  }
}

}  // namespace models
