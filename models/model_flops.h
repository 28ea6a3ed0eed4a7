#pragma once

#include "hw/units.h"
#include "models/model.h"

namespace models {

/// How a source counts model FLOPs: what MFU and TFLOP/s per GPU mean there (docs/flops.md gives each formula).
enum class FlopsConvention {
  causal,                ///< every matmul of the model, causal attention halved; backward = 2 forward
  full,                  ///< the same with causal attention not halved
  six_n,                 ///< 6 * active parameters, attention left out
  megatron_bridge,       ///< flop_utils.py of Megatron-Bridge from 26.06 on
  megatron_bridge_2604,  ///< the same up to release 26.04.01: GPT-OSS as ungated MLP and without windows
  automodel,             ///< flops_utils.py of AutoModel after 2026-07-15
  automodel_2025,        ///< the same as printed in its performance summary: GPT-OSS head_dim 45, Mamba scan 6 d_in N
  dfm,                   ///< WAN: 165.907 GFLOP/token at 37440 tokens, full bidirectional attention
  llm_foundry,           ///< 6 * parameters + 12 L h S, attention not halved, one learned position per token of S
  automodel_2025_09,     ///< automodel_2025 before 2025-10-08: Qwen's head_dim taken as hidden / heads
};

/// What of the model is trained; frozen weights have no wgrad.
struct TrainedPart {
  bool lora = false;
  double trainable_fraction = 1;  ///< LoRA parameters / frozen parameters, for AutoModel's factor
  double packed_mean_square = 0;  ///< mean over packs of the sum of squared sub-sequence lengths; 0: full sequences
};

/// Model FLOPs, forward and backward, of one token in a sequence of `seq_len`. Recompute is never counted.
/// `tp` pads the vocabulary where the convention does (ceil(V / (divisor * tp)) * divisor * tp).
hw::Flops model_flops_per_token(const Model& model, std::int64_t seq_len, int tp, FlopsConvention convention,
                                const TrainedPart& part = {});

}  // namespace models
