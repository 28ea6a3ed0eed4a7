# NeMo Megatron-Bridge: Llama 3 70B, 64 H100, FP8 with current scaling.
# stepcast: system = h100
# stepcast: gpus = 64
# stepcast: release = "26.04.01"
from megatron.bridge.recipes.llama import llama3_70b_pretrain_config

cfg = llama3_70b_pretrain_config()

cfg.model.tensor_model_parallel_size = 4
cfg.model.pipeline_model_parallel_size = 8
cfg.model.virtual_pipeline_model_parallel_size = 5  # 80 layers: two a stage
cfg.model.context_parallel_size = 1
cfg.model.sequence_parallel = True
cfg.model.seq_length = 8192
cfg.model.cuda_graph_impl = "none"
cfg.model.recompute_granularity = None

cfg.train.global_batch_size = 256
cfg.train.micro_batch_size = 1
cfg.train.train_iters = 50

cfg.mixed_precision = "bf16_with_fp8_current_scaling_mixed"

cfg.ddp.use_distributed_optimizer = True
cfg.ddp.overlap_grad_reduce = True
cfg.ddp.overlap_param_gather = True
cfg.ddp.grad_reduce_in_fp32 = False

cfg.comm_overlap.tp_comm_overlap = True
cfg.comm_overlap.overlap_p2p_comm = True

cfg.logger.log_interval = 1
