#include <string>

#include "models/run_draft.h"

namespace models {
namespace {

using hw::DType;
using hw::Node;

void state_schedule(const Node& value, RunDraft& draft) {
  const auto schedule = schedule_of(value.text());
  if (!schedule) return draft.not_understood_value(value);
  if (draft.schedule && *draft.schedule != *schedule) value.fail("must agree with " + draft.schedule_from);
  draft.schedule = schedule;
  draft.schedule_from = value.pointer();
  draft.half_memory_schedule = value.text().ends_with('*');
}

void set_dtype(const Node& value, DType Traits::*type, RunDraft& draft) {
  if (const auto stated = dtype_of(value.text())) {
    draft.run.traits.*type = *stated;
  } else {
    draft.not_understood_value(value);
  }
}

void read_attention_backend(const Node& value, RunDraft& draft) {
  const std::string word = value.text();
  AttentionBackend& attention = draft.run.traits.attention;
  if (word == "te" || word == "fused" || word == "cudnn" || word == "flash3") {
    attention = AttentionBackend::fused;
  } else if (word == "flex") {
    attention = AttentionBackend::flex;
  } else if (word == "sdpa") {
    attention = AttentionBackend::sdpa;
  } else if (word == "flash2" || word == "flash_attention_2" || word.starts_with("HF default")) {
    attention = AttentionBackend::flash2;  // Hugging Face prefers FlashAttention 2 where it is installed
  } else if (word == "unfused" || word == "eager") {
    attention = AttentionBackend::unfused;
  } else {
    draft.not_understood_value(value);
  }
}

void read_norm_kernel(const Node& value, RunDraft& draft) {
  const std::string word = value.text();
  if (word == "te" || word == "torch_fp32") {  // torch_fp32 goes through torch.compile, so one kernel as well
    draft.run.traits.fused_norm = true;
  } else if (word == "torch") {
    draft.run.traits.fused_norm = false;
  } else {
    draft.not_understood_value(value);
  }
}

void read_compiled_attention(const Node& value, RunDraft& draft) {
  if (value.boolean()) draft.run.traits.fused_rope = true;  // inductor fuses the unfused RoPE of the module
}

constexpr OpenKey kKernels[] = {
    {"attn", nullptr, read_attention_backend},
    {"linear", nullptr, [](const Node& value, RunDraft&) { value.text(); }},
    {"rms_norm", nullptr, read_norm_kernel},
    {"rope_fusion", &Traits::fused_rope, nullptr},
    {"compile_attn", nullptr, read_compiled_attention},
};

void read_reshard(const Node& value, RunDraft& draft) {
  if (value.is_boolean()) return state_zero(value, value.boolean() ? Zero::parameters : Zero::gradients, draft);
  if (value.text().starts_with("all but last layer")) return state_zero(value, Zero::parameters, draft);
  draft.not_understood_value(value);
}

constexpr OpenKey kFsdp[] = {
    {"api", nullptr, nullptr},
    {"reshard_after_forward", nullptr, read_reshard},
    {"enable_fsdp_optimizations", nullptr, [](const Node& v, RunDraft& d) { d.has_fsdp_mixin = v.boolean(); }},
    {"defer_grad_sync", nullptr, [](const Node& v, RunDraft& d) { d.defers_reduction = v.boolean(); }},
    // FSDP2 prefetches the next block by itself; the explicit setting only goes deeper.
    {"explicit_prefetch", nullptr, [](const Node& v, RunDraft&) { v.boolean(); }},
    {"prefetch_depth", nullptr, nullptr},
    {"param_dtype", nullptr, [](const Node& v, RunDraft& d) { set_dtype(v, &Traits::param_gather_dtype, d); }},
    {"reduce_dtype", nullptr,
     [](const Node& v, RunDraft& d) {
       d.reduce_dtype_stated = true;
       set_dtype(v, &Traits::grad_reduce_dtype, d);
     }},
};

constexpr OpenKey kTp[] = {
    {"async_tp_inductor", nullptr,
     [](const Node& v, RunDraft& d) {
       d.tp_overlap_stated = true;
       d.run.traits.tp_overlap = v.boolean();
     }},
    {"sequence_parallel", nullptr, [](const Node& v, RunDraft& d) { d.sequence_parallel = v.boolean(); }},
};

void read_cp_implementation(const Node& value, RunDraft& draft) {
  const std::string word = value.text();
  const auto says = [&word](const char* part) { return word.find(part) != std::string::npos; };
  CpKind& kind = draft.run.layout.cp_kind;
  if (says("allgather") || says("all_gather")) {  // torch's "ring" rotates by all-gather if told so
    kind = CpKind::all_gather;
  } else if (says("a2a") || says("all_to_all") || says("ulysses")) {
    kind = CpKind::all_to_all;
  } else if (says("ring") || says("p2p")) {
    kind = CpKind::ring;
  } else {
    draft.not_understood_value(value);
  }
}

constexpr OpenKey kCp[] = {{"impl", nullptr, read_cp_implementation}};

constexpr OpenKey kPp[] = {
    {"schedule", nullptr, state_schedule},
    {"local_batch_size", nullptr, [](const Node& v, RunDraft& d) { d.local_batch = v.positive_int(); }},
    {"microbatches_per_flush", nullptr,
     [](const Node& v, RunDraft& d) { d.microbatches_per_flush = v.positive_int(); }},
    {"flushes_per_step", nullptr, [](const Node& v, RunDraft& d) { d.flushes_per_step = v.positive_int(); }},
    {"layers_per_stage_yaml", nullptr, nullptr},  // what vp came from
    {"round_virtual_stages", nullptr, nullptr},
};

template <const auto& kKeys>
void read_nested(const Node& value, RunDraft& draft) {
  read_open_object(value, kKeys, draft);
}

void read_fsdp_strategy(const Node& value, RunDraft& draft) {
  const std::string word = value.text();
  if (word == "FULL_SHARD") return state_zero(value, Zero::parameters, draft);
  if (word == "SHARD_GRAD_OP") return state_zero(value, Zero::gradients, draft);
  draft.not_understood_value(value);
}

/// Composer's FSDP mixed precision: the shards and the optimizer stay in fp32 (they are their own master weights),
/// gathers are in the compute type; DEFAULT reduces gradients in fp32, PURE in the compute type, FULL is all fp32.
void read_mixed_precision(const Node& value, RunDraft& draft) {
  const std::string word = value.text();
  if (word != "DEFAULT" && word != "PURE" && word != "FULL") return draft.not_understood_value(value);
  const DType compute = word == "FULL" ? DType::fp32 : storage_type(draft.run.precision);
  Traits& traits = draft.run.traits;
  traits.param_dtype = traits.grad_dtype = traits.moment_dtype = DType::fp32;
  traits.param_gather_dtype = compute;
  traits.grad_reduce_dtype = word == "PURE" ? compute : DType::fp32;
  traits.master_weights = false;
  traits.autocast = false;  // FSDP casts each shard once before its gather, not every use
  draft.param_dtype_stated = draft.grad_dtype_stated = draft.reduce_dtype_stated = true;
}

constexpr OpenKey kOverlap[] = {
    {"tp_comm_overlap", nullptr,
     [](const Node& v, RunDraft& d) {
       d.tp_overlap_stated = true;
       d.run.traits.tp_overlap = v.boolean();
     }},
    {"tp_userbuffer_cfg", nullptr, [](const Node& v, RunDraft&) { v.boolean(); }},
    {"dp_grad_reduce", &Traits::dp_reduce_overlap, nullptr},
    {"dp_param_gather", &Traits::dp_gather_overlap, nullptr},
    {"param_gather_with_optimizer_step", nullptr,
     [](const Node& v, RunDraft& d) {
       d.optimizer_overlap_stated = true;
       d.run.traits.optimizer_overlap = v.boolean();
     }},
    {"pp_p2p", nullptr,
     [](const Node& v, RunDraft& d) {
       d.p2p_overlap_stated = true;
       d.run.traits.p2p_overlap = v.boolean();
     }},
    {"ep_a2a", &Traits::ep_overlap, nullptr},
    {"delay_wgrad", &Traits::delay_wgrad, nullptr},
    {"shared_expert_overlap", &Traits::shared_expert_overlap, nullptr},
    {"torch_compile_per_layer", &Traits::compiled, nullptr},
    {"post_validation_optimizer", &Traits::post_validation_optimizer, nullptr},
    {"schedule", nullptr, state_schedule},
    {"fsdp_strategy", nullptr, read_fsdp_strategy},
    {"mp_mode", nullptr, read_mixed_precision},
    {"cpu_offload", nullptr,
     [](const Node& v, RunDraft& d) {
       if (v.boolean()) d.not_understood(v);  // parameters on the host: there is no term for that
     }},
    {"fsdp", nullptr, read_nested<kFsdp>},
    {"tp", nullptr, read_nested<kTp>},
    {"cp", nullptr, read_nested<kCp>},
    {"pp", nullptr, read_nested<kPp>},
    {"kernels", nullptr, read_nested<kKernels>},
};

/// AutoModel reduces once a step if its FSDP mixin is on; dense models (no such key) if grad sync is deferred; MoE
/// models without the mixin as their release does (the stack's trait), unless deferral is turned off.
void settle_reduction(RunDraft& draft) {
  Traits& traits = draft.run.traits;
  if (draft.has_fsdp_mixin) traits.fsdp_once_per_step = *draft.has_fsdp_mixin;
  if (draft.has_fsdp_mixin.value_or(false)) {
    traits.fsdp_defer_reduce = true;
  } else if (draft.defers_reduction) {
    traits.fsdp_defer_reduce = *draft.defers_reduction && (!draft.has_fsdp_mixin || traits.fsdp_defer_reduce);
  }
}

}  // namespace

void read_overlap(const Node& overlap, RunDraft& draft) {
  read_open_object(overlap, kOverlap, draft);
  settle_reduction(draft);
}

}  // namespace models
