# stepcast: model = llama3-8b
# stepcast: system = h100
# stepcast: gpus = 8
cfg.model.tensor_model_parallel_size = 1
cfg.model.seq_length = 8192
cfg.train.global_batch_size = 128
cfg.train.micro_batch_size = 1
cfg.model.recompute_modules = ["mlp",
