#include "models/recipes/run_facts.h"

#include <string_view>
#include <type_traits>

namespace recipes {
namespace {

class Facts {
 public:
  template <typename T>
  void add(const char* name, const T& value) {
    list_.push_back(std::string(name) + " = " + text(value));
  }
  std::vector<std::string> list() && { return std::move(list_); }

 private:
  template <typename T>
  static std::string text(const T& value) {
    if constexpr (std::is_convertible_v<T, std::string_view>) {
      return std::string(value);
    } else if constexpr (std::is_enum_v<T>) {
      return std::to_string(static_cast<int>(value));
    } else {
      return std::to_string(value);
    }
  }

  std::vector<std::string> list_;
};

void add_layout(const models::Layout& l, Facts& facts) {
  facts.add("gpus", l.gpus), facts.add("gpus_per_node", l.gpus_per_node);
  facts.add("tp", l.tp), facts.add("pp", l.pp), facts.add("vp", l.vp), facts.add("cp", l.cp), facts.add("ep", l.ep);
  facts.add("etp", l.etp), facts.add("dp", l.dp), facts.add("sp", l.sp), facts.add("fsdp", l.fsdp);
  facts.add("zero", l.zero), facts.add("cp_kind", l.cp_kind), facts.add("schedule", l.schedule);
  facts.add("gbs", l.gbs), facts.add("mbs", l.mbs), facts.add("seq_len", l.seq_len);
  facts.add("microbatches", l.microbatches), facts.add("flushes", l.flushes);
  for (const models::StageChunk& chunk : l.chunks) {
    facts.add("chunk", std::to_string(chunk.embedding) + " " + std::to_string(chunk.first_layer) + " " +
                           std::to_string(chunk.layers) + " " + std::to_string(chunk.mtp) + " " +
                           std::to_string(chunk.loss));
  }
}

void add_recompute(const models::Run& run, Facts& facts) {
  const models::Recompute& r = run.recompute;
  const models::RecomputeModules& m = r.modules;
  facts.add("recompute", r.mode), facts.add("recompute.layers", r.layers), facts.add("recompute.block", r.block);
  facts.add("recompute_known", run.recompute_known);
  const bool parts[] = {m.core_attention, m.layernorm,      m.mla_up_proj,   m.mlp, m.moe,
                        m.moe_act,        m.shared_experts, m.self_attention};
  for (const bool part : parts) facts.add("recompute.part", part);
}

void add_graph(const models::CudaGraph& g, Facts& facts) {
  const bool parts[] = {g.full_iteration, g.layer, g.attention, g.mlp, g.mamba, g.moe_router, g.moe_preprocess};
  for (const bool part : parts) facts.add("cuda_graph", part);
}

void add_overlap(const models::Traits& t, Facts& facts) {
  facts.add("tp_overlap", t.tp_overlap), facts.add("dp_reduce_overlap", t.dp_reduce_overlap);
  facts.add("dp_gather_overlap", t.dp_gather_overlap), facts.add("optimizer_overlap", t.optimizer_overlap);
  facts.add("p2p_overlap", t.p2p_overlap), facts.add("p2p_scatter", t.p2p_scatter);
  facts.add("ep_overlap", t.ep_overlap), facts.add("delay_wgrad", t.delay_wgrad);
  facts.add("fsdp_prefetch", t.fsdp_prefetch), facts.add("fsdp_defer_reduce", t.fsdp_defer_reduce);
  facts.add("fsdp_once_per_step", t.fsdp_once_per_step);
}

/// A stream of its own for the shared expert means nothing to a model without one.
void add_kernels(const models::Run& run, Facts& facts) {
  const models::Traits& t = run.traits;
  bool has_shared_expert = false, has_experts = false;
  for (const models::LayerSpec& kind : run.model.kinds) {
    has_experts |= kind.moe.has_value();
    has_shared_expert |= kind.moe && kind.moe->shared_ffn > 0;
  }
  if (has_shared_expert) facts.add("shared_expert_overlap", t.shared_expert_overlap);
  if (has_experts) {
    facts.add("dispatcher", t.dispatcher), facts.add("expert_gemm", t.expert_gemm);
    facts.add("routing", t.routing);
    facts.add("capacity_factor", t.capacity_factor), facts.add("router_gemm", t.router_gemm);
    facts.add("fused_permute", t.fused_permute), facts.add("sync_per_dispatch", t.sync_per_dispatch);
  }
  facts.add("attention", t.attention), facts.add("fused_rope", t.fused_rope);
  facts.add("fused_activation", t.fused_activation), facts.add("fused_loss", t.fused_loss);
  facts.add("fused_norm", t.fused_norm), facts.add("narrow_loss", t.narrow_loss);
  facts.add("fused_clamped_glu", t.fused_clamped_glu), facts.add("fused_bias_dropout", t.fused_bias_dropout);
  facts.add("fp8_attention", t.fp8_attention), facts.add("fp8_output_proj", t.fp8_output_proj);
  facts.add("bf16_first_layers", t.bf16_first_layers), facts.add("bf16_last_layers", t.bf16_last_layers);
  facts.add("compiled", t.compiled), facts.add("splits_are_views", t.splits_are_views);
  facts.add("separate_qkv", t.separate_qkv), facts.add("fp32_residual", t.fp32_residual);
  facts.add("autocast", t.autocast), facts.add("dropout", t.dropout);
}

void add_numbers(const models::Traits& t, Facts& facts) {
  facts.add("param_dtype", t.param_dtype), facts.add("grad_dtype", t.grad_dtype);
  facts.add("grad_reduce_dtype", t.grad_reduce_dtype), facts.add("param_gather_dtype", t.param_gather_dtype);
  facts.add("master_weights", t.master_weights), facts.add("moment_dtype", t.moment_dtype);
  facts.add("muon", t.muon), facts.add("fused_optimizer", t.fused_optimizer);
  facts.add("clip_gradients", t.clip_gradients), facts.add("distributed_optimizer", t.distributed_optimizer);
}

void add_host(const models::Traits& t, Facts& facts) {
  facts.add("graphed_host", t.graphed_host), facts.add("host_op_us", t.host_op_us);
  facts.add("sync_per_microbatch", t.sync_per_microbatch), facts.add("dtensor", t.dtensor);
  facts.add("recompute_early_stop", t.recompute_early_stop), facts.add("recompute_mtp", t.recompute_mtp);
  facts.add("profiled_schedule", t.profiled_schedule);
  facts.add("post_validation_optimizer", t.post_validation_optimizer);
  facts.add("flush_per_local_batch", t.flush_per_local_batch);
  facts.add("count_ends_in_split", t.count_ends_in_split), facts.add("offload_layers", t.offload_layers);
  for (const std::string& module : t.offload_modules) facts.add("offload", module);
  facts.add("allocator_overhead_gib", t.allocator_overhead_gib);
}

void add_lora(const models::Run& run, Facts& facts) {
  facts.add("packed_tokens", run.packed_tokens), facts.add("packed_length", run.packed_length);
  if (!run.lora) return;
  const models::LoraSpec& lora = *run.lora;
  facts.add("lora.rank", lora.rank), facts.add("lora.qkv", lora.qkv), facts.add("lora.out", lora.out);
  facts.add("lora.mlp", lora.mlp), facts.add("lora.experts", lora.experts);
}

}  // namespace

std::vector<std::string> run_facts(const models::Run& run) {
  Facts facts;
  facts.add("model", run.model.name), facts.add("system", run.cluster.name), facts.add("framework", run.framework);
  facts.add("release", run.release), facts.add("task", run.task), facts.add("precision", run.precision);
  facts.add("flops", run.flops), facts.add("stack", run.traits.stack);
  facts.add("hidden", run.model.hidden), facts.add("layers", run.model.layers.size());
  facts.add("text_tokens", run.model.dit ? run.model.dit->text_len : 0);
  add_layout(run.layout, facts);
  add_recompute(run, facts);
  add_graph(run.graph, facts);
  add_overlap(run.traits, facts);
  add_kernels(run, facts);
  add_numbers(run.traits, facts);
  add_host(run.traits, facts);
  add_lora(run, facts);
  return std::move(facts).list();
}

}  // namespace recipes
