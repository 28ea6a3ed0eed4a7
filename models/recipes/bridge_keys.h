#pragma once

#include <cstddef>

#include "models/recipes/mapping.h"
#include "models/recipes/megatron_rules.h"

/// Keys of Megatron-Bridge's ConfigContainer, which DFM on Megatron shares.
namespace recipes::bridge {

using megatron::kRecompute;
using megatron::kRecomputeMethods;
using megatron::kTorchTypes;

inline constexpr Word kPrecisions[] = {
    {"bf16_mixed", "bf16"},
    {"bf16_with_fp8_current_scaling_mixed", "fp8-cs"},
    {"bf16_with_fp8_delayed_scaling_mixed", "fp8-ds"},
    {"bf16_with_fp8_subchannel_scaling_mixed", "fp8-blockwise"},
    {"bf16_with_mxfp8_mixed", "mxfp8"},
    {"bf16_with_nvfp4_mixed", "nvfp4"},
    {"fp16_mixed", "fp16"},
    {"bf16-mixed", "bf16"},
};
inline constexpr Word kReduceTypes[] = {{"false", "bf16"}, {"true", "fp32"}};
inline constexpr Word kGraphs[] = {{"none", "none"},
                                   {"full_iteration", "full_iteration"},
                                   {"transformer_engine", "transformer_engine"},
                                   {"local", "local"},
                                   {"", "none"}};

/// The first rows are of the sequence length, which diffusion models have from elsewhere.
inline constexpr std::size_t kLengthRows = 3;
inline constexpr Row kRows[] = {
    {"model.seq_length", "/seq_len"},
    {"dataset.sequence_length", "/seq_len"},
    {"dataset.seq_length", "/seq_len"},
    {"model.tensor_model_parallel_size", "/tp"},
    {"model.pipeline_model_parallel_size", "/pp"},
    {"model.virtual_pipeline_model_parallel_size", "/vp"},
    {"model.context_parallel_size", "/cp"},
    {"model.expert_model_parallel_size", "/ep"},
    {"model.expert_tensor_parallel_size", "/etp"},
    {"model.sequence_parallel", "/sp", Kind::flag},
    {"model.pipeline_model_parallel_layout", "/extra/pp_layout", Kind::text},
    {"model.account_for_embedding_in_pipeline_split", "/extra/account_for_embedding_in_pipeline_split", Kind::flag},
    {"model.account_for_loss_in_pipeline_split", "/extra/account_for_loss_in_pipeline_split", Kind::flag},
    {"train.global_batch_size", "/gbs"},
    {"train.micro_batch_size", "/mbs"},
    {"mixed_precision", "/precision", Kind::words, kPrecisions},
    {"ddp.fp8_param_gather", "/optimizer/fp8_param_gather", Kind::flag},
    {"ddp.fp4_param_gather", "/optimizer/fp4_param_gather", Kind::flag},
    {"mixed_precision.fp8_param_gather", "/optimizer/fp8_param_gather", Kind::flag},
    {"mixed_precision.fp4_param_gather", "/optimizer/fp4_param_gather", Kind::flag},
    {"model.recompute_granularity", "/recompute/mode", Kind::words, kRecompute},
    {"model.recompute_modules", "/recompute/modules", Kind::texts},
    {"model.recompute_method", "/recompute/method", Kind::words, kRecomputeMethods},
    {"model.recompute_num_layers", "/recompute/layers", Kind::whole},
    {"model.cuda_graph_impl", "/cuda_graph/impl", Kind::words, kGraphs},
    {"model.cuda_graph_scope", "/cuda_graph/scope", Kind::texts},
    {"model.cp_comm_type", "/extra/cp_comm_type", Kind::text},
    {"model.cpu_offloading_num_layers", "/extra/cpu_offloading_num_layers", Kind::whole},
    {"model.offload_modules", "/extra/fine_grained_offload_modules", Kind::texts},
    {"model.fp8_dot_product_attention", "/extra/fp8_dot_product_attention", Kind::flag},
    {"model.fp8_output_proj", "/extra/fp8_output_proj", Kind::flag},
    {"model.mtp_num_layers", "/extra/mtp_num_layers_recipe", Kind::whole},
    {"model.params_dtype", "/optimizer/param_dtype", Kind::open_words, kTorchTypes},
    {"model.moe_router_force_load_balancing", "/moe/force_balance", Kind::flag},
    {"model.moe_router_fusion", "/moe/router_fusion", Kind::flag},
    {"model.moe_permute_fusion", "/moe/permute_fusion", Kind::flag},
    {"model.moe_grouped_gemm", "/moe/grouped_gemm", Kind::flag},
    {"model.moe_pad_expert_input_to_capacity", "/moe/pad_to_capacity", Kind::flag},
    {"model.moe_expert_rank_capacity_factor", "/moe/expert_rank_capacity_factor", Kind::number},
    {"model.moe_paged_stash", "/moe/paged_stash", Kind::flag},
    {"model.moe_hybridep_num_sms", "/moe/hybridep_sms", Kind::whole},
    {"model.use_transformer_engine_op_fuser", "/moe/fused_grouped_mlp_cutedsl", Kind::flag},
    {"model.moe_shared_expert_overlap", "/overlap/shared_expert_overlap", Kind::flag},
    {"comm_overlap.tp_comm_overlap", "/overlap/tp_comm_overlap", Kind::flag},
    {"comm_overlap.overlap_p2p_comm", "/overlap/pp_p2p", Kind::flag},
    {"comm_overlap.overlap_moe_expert_parallel_comm", "/overlap/ep_a2a", Kind::flag},
    {"comm_overlap.delay_wgrad_compute", "/overlap/delay_wgrad", Kind::flag},
    {"comm_overlap.overlap_param_gather_with_optimizer_step", "/overlap/param_gather_with_optimizer_step", Kind::flag},
    {"optimizer.overlap_param_gather_with_optimizer_step", "/overlap/param_gather_with_optimizer_step", Kind::flag},
    {"ddp.overlap_grad_reduce", "/overlap/dp_grad_reduce", Kind::flag},
    {"comm_overlap.overlap_grad_reduce", "/overlap/dp_grad_reduce", Kind::flag},
    {"ddp.overlap_param_gather", "/overlap/dp_param_gather", Kind::flag},
    {"comm_overlap.overlap_param_gather", "/overlap/dp_param_gather", Kind::flag},
    {"ddp.grad_reduce_in_fp32", "/optimizer/grad_reduce_dtype", Kind::words, kReduceTypes},
    {"mixed_precision.grad_reduce_in_fp32", "/optimizer/grad_reduce_dtype", Kind::words, kReduceTypes},
    {"ddp.outer_dp_sharding_strategy", "/extra/fsdp/outer_dp", Kind::text},
    {"ddp.fsdp_double_buffer", "/extra/fsdp/double_buffer", Kind::flag},
    {"ddp.megatron_fsdp_main_grads_dtype", "/extra/fsdp/main_grads_dtype", Kind::open_words, kTorchTypes},
    {"ddp.megatron_fsdp_grad_comm_dtype", "/extra/fsdp/grad_comm_dtype", Kind::open_words, kTorchTypes},
    {"optimizer.optimizer", "/optimizer/name", Kind::text},
    {"optimizer.use_distributed_optimizer", "/optimizer/distributed", Kind::flag},
    {"optimizer.use_precision_aware_optimizer", "/optimizer/precision_aware", Kind::flag},
    {"optimizer.main_params_dtype", "/optimizer/main_params", Kind::open_words, kTorchTypes},
    {"optimizer.main_grads_dtype", "/optimizer/main_grads", Kind::open_words, kTorchTypes},
    {"optimizer.exp_avg_dtype", "/optimizer/exp_avg", Kind::open_words, kTorchTypes},
    {"optimizer.exp_avg_sq_dtype", "/optimizer/exp_avg_sq", Kind::open_words, kTorchTypes},
    {"optimizer.clip_grad", "/optimizer/grad_clip", Kind::number},
    {"dataset.packed_sequence_specs.packed_sequence_size", "/extra/packed_sequence_size"},
    {"peft.dim", "/extra/lora/dim"},
    {"peft.alpha", "/extra/lora/alpha", Kind::number},
    {"peft.target_modules", "/extra/lora/target_modules", Kind::texts},
};

inline constexpr megatron::DispatcherKeys kDispatcher{"model.moe_token_dispatcher_type",
                                                      "model.moe_flex_dispatcher_backend"};
inline constexpr megatron::ShardingKeys kSharding{"ddp.use_distributed_optimizer", "ddp.use_megatron_fsdp",
                                                  "ddp.data_parallel_sharding_strategy",
                                                  "ddp.num_distributed_optimizer_instances"};
inline constexpr std::string_view kShardingKeys[] = {kSharding.fsdp, kSharding.strategy, kSharding.instances,
                                                     kSharding.distributed_optimizer};
inline constexpr std::string_view kShardingFields[] = {"/fsdp", "/zero", "/extra/fsdp/strategy",
                                                       "/extra/fsdp/instances"};
inline void read_sharding(Reading& reading) { megatron::read_sharding(reading, kSharding); }
inline void write_sharding(Writing& writing) { megatron::write_sharding(writing, kSharding); }

}  // namespace recipes::bridge
