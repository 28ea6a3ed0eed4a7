#pragma once

#include <string>
#include <vector>

#include "hw/dtype.h"

namespace models {

enum class RecomputeMode { none, selective, full };

/// Modules that selective recompute can replay (Megatron's names).
struct RecomputeModules {
  bool core_attention = false, layernorm = false, mla_up_proj = false, mlp = false, moe = false, moe_act = false,
       shared_experts = false, self_attention = false;
  bool operator==(const RecomputeModules&) const = default;
};

struct Recompute {
  RecomputeMode mode = RecomputeMode::none;
  RecomputeModules modules;
  int layers = 0;      ///< full: layers replayed per pipeline rank and chunk group; 0 = all
  bool block = false;  ///< method `block`: the first `layers` of a rank one by one; else uniform groups
};

/// What is captured in CUDA graphs and so costs the host next to nothing.
struct CudaGraph {
  bool full_iteration = false;
  bool layer = false;  ///< whole layers
  bool attention = false, mlp = false, mamba = false, moe_router = false, moe_preprocess = false;
};

enum class Dispatcher { all_to_all, all_gather, deepep, hybridep };
/// fused = cuDNN or FlashAttention 3; sdpa = what torch chooses (cuDNN on Blackwell, else flash2); triton = the first
/// FlashAttention's Triton kernel (llm-foundry of 2023).
enum class AttentionBackend { fused, flash2, flex, sdpa, unfused, triton };
/// grouped = Transformer Engine's, a cuBLAS GEMM per expert on streams side by side; fused_grouped = activation and
/// casts inside (CuTeDSL); loop = one expert after another; gmm = the grouped_gemm package; torch_grouped =
/// torch._grouped_mm, whose sizes stay on the device.
enum class ExpertGemm { grouped, fused_grouped, loop, gmm, torch_grouped };
/// One kernel for all experts; the others run one per expert.
constexpr bool one_kernel(ExpertGemm gemm) {
  return gemm == ExpertGemm::fused_grouped || gemm == ExpertGemm::torch_grouped;
}
enum class Routing { balanced_random, contiguous };  ///< contiguous: AutoModel's fake gate, token t -> (t*k+j) mod E

/// How a software stack runs a layout: defaults from configs/stacks/*.json, overridden by the run's own fields.
/// Every trait is a fact about code that runs, none is a factor on the answer.
struct Traits {
  std::string stack;    ///< name of the description, `megatron-bridge`
  std::string release;  ///< as the run states it

  // What is overlapped with compute
  bool tp_overlap = false;         ///< userbuffers or async TP: collectives pipelined with their GEMMs
  bool dp_reduce_overlap = true;   ///< gradient reduction behind the last microbatch's backward
  bool dp_gather_overlap = true;   ///< parameter gathering behind the first microbatch's forward
  bool optimizer_overlap = false;  ///< parameter gathering starts with the optimizer step
  bool p2p_overlap = false;
  bool p2p_scatter = false;  ///< TP ranks each send a share of a replicated activation and gather it behind
  bool ep_overlap = false;   ///< expert all-to-all of one microbatch behind the compute of another
  bool delay_wgrad = false;
  bool shared_expert_overlap = false;  ///< shared expert on a stream of its own beside dispatch

  // FSDP
  bool fsdp_prefetch = true;        ///< the next block's gather is issued while this one computes
  bool fsdp_defer_reduce = false;   ///< gradients are reduced once a step, not every microbatch
  bool fsdp_once_per_step = false;  ///< gathered once a step too (kept over all microbatches)

  // Kernels
  AttentionBackend attention = AttentionBackend::fused;
  Dispatcher dispatcher = Dispatcher::all_to_all;
  ExpertGemm expert_gemm = ExpertGemm::grouped;
  Routing routing = Routing::balanced_random;
  double capacity_factor = 0;  ///< > 0: tokens dropped or padded to capacity; 0 = dropless
  bool router_gemm = true;
  bool fused_rope = true, fused_activation = true, fused_loss = true, fused_norm = true;
  bool narrow_loss = false;        ///< the fused loss keeps 16-bit logits and row sums, no fp32 probabilities
  bool fused_clamped_glu = false;  ///< GPT-OSS's expert bias, clamp and gated product in one kernel
  bool fused_bias_dropout = true;  ///< bias, dropout and residual add in one kernel
  bool fused_permute = true;
  bool fp8_attention = false;
  bool fp8_output_proj = false;                     ///< the LM head is quantised too
  int bf16_first_layers = 0, bf16_last_layers = 0;  ///< kept in bf16 under a quantised precision
  bool compiled = false;                            ///< torch.compile per layer: pointwise ops fuse
  bool splits_are_views = true;  ///< q, k and v share one buffer, so v is not copied when q and k are normed
  bool separate_qkv = false;     ///< q, k and v, gate and up are separate linears (Hugging Face modules)
  bool fp32_residual = false;
  bool autocast = false;  ///< fp32 parameters cast to bf16 around every use (torch.autocast)
  double dropout = 0;     ///< > 0: masks are drawn and kept

  // Numbers kept
  hw::DType param_dtype = hw::DType::bf16;
  hw::DType grad_dtype = hw::DType::bf16;  ///< main gradients as accumulated
  hw::DType grad_reduce_dtype = hw::DType::bf16;
  hw::DType param_gather_dtype = hw::DType::bf16;
  bool master_weights = true;  ///< fp32 copy in the optimizer
  hw::DType moment_dtype = hw::DType::fp32;
  bool muon = false;
  bool fused_optimizer = true;
  bool clip_gradients = true;
  bool distributed_optimizer = false;

  // Host
  bool graphed_host = false;         ///< set from CudaGraph::full_iteration
  double host_op_us = 0;             ///< host time per framework op, x86; the profile has the Grace ratio
  bool dtensor = false;              ///< TP by torch's DTensor: each op of a sharded module is dispatched in Python
  bool sync_per_microbatch = false;  ///< a device synchronisation at every microbatch boundary
  bool sync_per_dispatch = false;    ///< the host waits for token counts in every MoE dispatch

  // Pipeline and memory
  bool recompute_early_stop = false;  ///< replay ends with the last tensor needed (torch's non-reentrant checkpoint)
  bool recompute_mtp = true;          ///< full recompute replays MTP modules too
  bool profiled_schedule =
      true;  ///< zero-bubble orders are laid out for the passes' times, not as if all were the same
  bool post_validation_optimizer = false;  ///< stages do not meet before the optimizer: norms are checked afterwards
  bool flush_per_local_batch = false;      ///< AutoModel: one schedule call per local batch
  bool count_ends_in_split = false;
  int offload_layers = 0;  ///< layers whose kept activations go to host memory
  std::vector<std::string> offload_modules;
  double allocator_overhead_gib = 0;  ///< context, communicators, allocator reserve: what the source's figure includes
};

}  // namespace models
