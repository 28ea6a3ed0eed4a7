#pragma once

#include <cstdint>
#include <vector>

#include "models/model.h"
#include "models/model_flops.h"

/// The conventions' formulas, one file a source. Only model_flops*.cpp include this.
namespace models::flops {

/// FLOPs of one token, forward and backward. Frozen weights save a third of `weights`, nothing of `attention`.
struct PerToken {
  double weights = 0;    ///< matmuls with parameters, and Mamba's scan
  double attention = 0;  ///< scores and values of softmax attention
  double sum() const { return weights + attention; }
};

/// How many layers of each kind one token passes; with `mtp`, those of every multi-token-prediction pass too.
std::vector<double> passes(const Model& model, bool mtp);

/// Keys that a query attends to on average in a sequence of `span`. Causal attention is counted as span/2 where
/// `halved`. A window W < span leaves W - W(W-1)/(2 span), Megatron-Bridge's flop_utils.py; W where not halved.
double mean_keys(const AttentionSpec& attention, double span, bool halved);

/// Parameters of a query, key, value and output projection without biases and norms; MLA in its unabsorbed form.
double projection_weights(double hidden, const AttentionSpec& attention);

PerToken every_matmul(const Model& model, double span, bool halved);
PerToken six_n(const Model& model);
PerToken llm_foundry(const Model& model, double span);
/// `glu_only_silu`: up to release 26.04.01 other gated MLPs counted as ungated, and windows were ignored.
PerToken megatron_bridge(const Model& model, double seq_len, int tp, bool glu_only_silu);
/// Bridge's formula for LoRA on packed data; `mean_square` as in TrainedPart, seq_len^2 if 0.
double megatron_bridge_lora(const Model& model, double seq_len, double mean_square);
enum class AutomodelEra { current, until_2026_07, until_2025_10 };
PerToken automodel(const Model& model, double seq_len, AutomodelEra era);
PerToken diffusion_transformer(const Model& model, double tokens);
PerToken dfm(const Model& model, double tokens);

}  // namespace models::flops
