#!/bin/sh
# stepcast: model = llama3-8b
# stepcast: system = h100
# stepcast: gpus = 8
torchrun --nproc-per-node 8 pretrain_gpt.py \
  --tensor-model-parallel-size 1 \
  --seq-length "8192 \
  --micro-batch-size 1 \
  --global-batch-size 128 \
  --bf16
