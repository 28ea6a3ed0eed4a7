#include "exec/runnable.h"

#include <algorithm>
#include <set>
#include <variant>
#include <vector>

#include "models/numerics.h"
#include "models/schedule.h"

namespace exec {
namespace {

using models::Run;
using models::StepProgram;

struct Rule {
  bool broken;
  std::string text;
};

bool computed(hw::DType dtype) {
  return dtype == hw::DType::fp64 || dtype == hw::DType::fp32 || dtype == hw::DType::bf16;
}

bool limits_groups(const models::Model& model) {
  return std::ranges::any_of(model.kinds, [](const models::LayerSpec& layer) {
    return layer.moe && layer.moe->top_groups < layer.moe->groups;
  });
}

/// What the executor as a whole leaves out, whatever ops there are.
std::vector<Rule> rules(const Run& run, const StepProgram& program) {
  const models::Layout& l = run.layout;
  const models::Traits& t = run.traits;
  return {
      {run.precision != models::Precision::fp64 && run.precision != models::Precision::fp32 &&
           run.precision != models::Precision::bf16,
       "precision: must be fp64, fp32 or bf16, the executor has no others yet"},
      {!computed(t.param_dtype) || !computed(t.grad_dtype) || !computed(t.moment_dtype),
       "optimizer: weights, gradients and moments must be kept in fp64, fp32 or bf16"},
      {t.param_dtype != models::storage_type(run.precision) && l.fsdp == 0,
       "optimizer.param_dtype: must be the precision's, only FSDP gathers weights that it rounds"},
      {t.master_weights && t.param_dtype != hw::DType::bf16,
       "optimizer.main_params: must be absent where weights are not bf16"},
      {t.grad_reduce_dtype != t.grad_dtype,
       "optimizer.grad_reduce_dtype: must be the type that gradients are kept in (" +
           std::string(hw::name(t.grad_dtype)) + ")"},
      {t.param_gather_dtype != models::storage_type(run.precision),
       "optimizer: weights must be gathered in the precision's type"},
      {t.offload_layers > 0 || !t.offload_modules.empty(), "offloading of activations is predicted only"},
      {run.model.mtp.depth > 1, "multi-token prediction is trained with one depth only"},
      {limits_groups(run.model), "n_group of the model: routing within groups of experts is predicted only"},
      {run.model.rope_scaling, "rope_scaling of the model is not read"},
      {l.fsdp > 0 && program.ends_share_embedding,
       "fsdp: must be 0 where pipeline stages share the embedding table (tied embeddings)"},
      {l.fsdp > 0 && models::splits_backward(l.schedule),
       "fsdp: must be 0 where weight gradients run apart: all gradients would stay whole until then"},
      {l.fsdp > 0 && run.lora.has_value(), "fsdp: must be 0 with LoRA"},
      {l.pp > 1 && l.tp > 1 && !l.sp && t.p2p_scatter, "sp: must be true where the stack scatters pipeline transfers"},
      {t.dropout > 0, "dropout is predicted only"},
      {t.muon, "optimizer: must be AdamW, Muon is predicted only"},
      {t.capacity_factor > 0, "moe.capacity_factor is predicted only: the executor drops no tokens"},
      {run.packed_tokens > 0, "packed sequences are predicted only"},
  };
}

/// Weights that a block shares must be of the same pipeline rank; only the embedding table is on two.
std::optional<std::string> shared_elsewhere(const StepProgram& program) {
  for (std::size_t stage = 0; stage < program.stages.size(); ++stage) {
    std::set<models::BlockKind> kinds;
    for (const int chunk : program.stages[stage].chunks)
      for (const models::BlockRun& place : program.chunks[static_cast<std::size_t>(chunk)].blocks)
        kinds.insert(program.blocks[static_cast<std::size_t>(place.block)].kind);
    if (kinds.contains(models::BlockKind::mtp) && !kinds.contains(models::BlockKind::head))
      return "multi-token prediction must lie on the last pipeline stage, with the head that it shares";
  }
  return std::nullopt;
}

std::optional<std::string> unknown_op(const StepProgram& program,
                                      const std::function<bool(const models::Op&)>& has_kernel) {
  for (const models::Block& block : program.blocks)
    for (const auto* ops : {&block.forward, &block.backward})
      for (const models::Op& op : *ops)
        if (!has_kernel(op))
          return "op " + std::string(op.name) + " of its " + block.label + " blocks has no kernel here";
  return std::nullopt;
}

/// Whether `columns` of whole heads divide over `cp` ranks: heads are as wide as the attention behind says.
bool divides_heads(const models::Block& block, std::int32_t columns, int cp) {
  for (const models::Op& op : block.forward)
    if (const auto* core = std::get_if<models::Attention>(&op.work))
      return columns % (core->qk_dim * cp) == 0 || columns % (core->v_dim * cp) == 0;
  return true;
}

/// What a block holds that does not run in a layout.
std::optional<std::string> rule_of(const models::Block& block, const models::Layout& layout) {
  const std::string tp = std::to_string(layout.tp);
  if (!block.carried.empty() && layout.chunks.size() > 1)
    return "what later blocks read beside their input does not travel between stages, got pp " +
           std::to_string(layout.pp);
  if (!block.carried.empty() && layout.tp > 1)
    return "modulation and norms over all heads do not run with tensor parallelism, got tp " + tp;
  for (const models::Op& op : block.forward)
    if (std::holds_alternative<models::Scan>(op.work) && layout.cp > 1)
      return "a state-space scan does not run with context parallelism, got cp " + std::to_string(layout.cp);
  for (const models::Weight& weight : block.weights)
    if (weight.experts > 0 && layout.tp > 1 && !layout.sp)  // its tokens would count once for each TP rank
      return "experts run with tensor parallelism only if sp is true, got tp " + tp;
  for (const models::Op& op : block.forward)
    if (const auto* exchange = std::get_if<models::Collective>(&op.work))
      for (const std::int32_t columns : exchange->heads.pieces)
        if (exchange->group == models::GroupKind::cp && !divides_heads(block, columns, layout.cp))
          return "heads do not divide over context parallelism by all-to-all, got cp " + std::to_string(layout.cp);
  for (const models::Weight& weight : block.weights)
    for (const models::WeightPart& part : weight.parts)
      if (weight.cut && weight.experts == 0 && part.units < layout.tp)  // its gradient lies on some ranks only
        return std::string(block.tensors[static_cast<std::size_t>(weight.tensor)].name) +
               " does not run in fewer pieces than tp, got " + std::to_string(part.units) + " and tp " + tp;
  return std::nullopt;
}

}  // namespace

std::optional<std::string> why_not_runnable(const StepProgram& program) {
  for (const models::Block& block : program.blocks)
    if (const auto rule = rule_of(block, program.layout)) return block.label + ": " + *rule;
  return shared_elsewhere(program);
}

std::optional<std::string> why_not_runnable(const Run& run, const StepProgram& program,
                                            const std::function<bool(const models::Op&)>& has_kernel) {
  for (const Rule& rule : rules(run, program))
    if (rule.broken) return rule.text;
  if (auto why = why_not_runnable(program)) return why;
  return unknown_op(program, has_kernel);
}

hw::Bytes state_bytes(const Run& run, const StepProgram& program) {
  const models::Layout& l = run.layout;
  const int ranks_of_stage = l.gpus / l.pp;
  const auto shards = [&](bool expert, bool of_weights) {
    if (l.fsdp > 0) return expert ? l.expert_dp() : l.fsdp;
    return of_weights || l.zero != models::Zero::optimizer ? 1 : expert ? l.expert_dp() : l.dp * l.cp;
  };
  const models::Traits& t = run.traits;
  const double weight = hw::bytes_per_element(t.param_dtype), gradient = hw::bytes_per_element(t.grad_dtype);
  const double states = 2 * hw::bytes_per_element(t.moment_dtype) + (t.master_weights ? 4 : 0);
  double bytes = 0;
  for (const models::ChunkProgram& chunk : program.chunks) {
    for (const models::BlockRun& place : chunk.blocks) {
      const models::BlockParameters& p = program.blocks[static_cast<std::size_t>(place.block)].parameters;
      const auto held = [&](double all, double trained, bool expert) {
        return (weight * all + gradient * trained) / shards(expert, true) + states * trained / shards(expert, false);
      };
      bytes += place.count * (held(p.dense, p.trainable_dense, false) + held(p.expert, p.trainable_expert, true));
    }
  }
  return {bytes * ranks_of_stage};
}

}  // namespace exec
