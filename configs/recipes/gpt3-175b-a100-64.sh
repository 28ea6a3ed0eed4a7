#!/bin/bash
# Megatron-LM: GPT-3 175B as in arXiv 2205.05198, table 5: 64 A100, selective recompute with sequence parallelism.
# stepcast: model = gpt3-175b
# stepcast: system = a100-80g
# stepcast: release = "2022"
export CUDA_DEVICE_MAX_CONNECTIONS=1

TP=8
PP=8
GPUS_PER_NODE=${GPUS_PER_NODE:-8}

PARALLEL_ARGS=(
  --tensor-model-parallel-size $TP
  --pipeline-model-parallel-size ${PP}
  --num-layers-per-virtual-pipeline-stage 4   # three virtual stages a rank
  --sequence-parallel
)

MODEL_ARGS="
  --num-layers 96 --hidden-size 12288 --num-attention-heads 96
  --seq-length 2048 --max-position-embeddings 2048
"

torchrun --nproc_per_node $GPUS_PER_NODE --nnodes 8 pretrain_gpt.py \
  "${PARALLEL_ARGS[@]}" $MODEL_ARGS \
  --micro-batch-size 1 \
  --global-batch-size 64 \
  --recompute-granularity selective \
  --recompute-modules core_attn \
  --fp16 \
  --mock-data \
  --lr 6.0e-5 --train-iters 100
