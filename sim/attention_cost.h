#pragma once

#include "hw/cluster.h"
#include "hw/efficiency.h"
#include "models/step_program.h"
#include "sim/price.h"

namespace sim {

/// Time over that of a kernel at the curve's rate: 1 + ramp / keys (filling and, if causal, half-empty tiles), times
/// 1 + droop log2(keys / 8192) from there on (power limit), times 1 + wave (W - 1), W = SM time of whole waves of tiles
/// over the tiles'; a tile is curve.tile rows of q of one head, backward of k. Source: docs/cost_model.md, attention.
double attention_stretch(const models::Attention& work, const hw::AttentionCurve& curve, int sm_count);

/// softmax(q k^T) v, forward or backward.
///   fused          t = F stretch / rate + overhead, the curve of format, mask and pass; MLA where qk_dim differs from
///                  v_dim; below head dim 128 the rate falls linearly to its measured share at 64
///   flash2, sdpa   likewise on the FlashAttention 2 curves; flex: those times flex_rate
///   window         the seen keys + window_extra_keys (never more than all) per query, without the ramp, at window_rate
///   unfused        two batched GEMMs over the whole S x S matrix, whose scores (2 B) go to memory and back, and
///                  softmax and dropout that read and write it at unfused_softmax of HBM; backward twice all that
///   F              2 b a Sq K (dqk + dv) forward, 2 b a Sq K (3 dqk + 2 dv) backward, K = mean keys seen (size.flops)
/// Math runs at the sustained clock. Sources: docs/cost_model.md, attention.
///   size  FLOPs that the mask leaves, bytes of the operands
Price attention_cost(const models::Attention& work, models::OpSize size, const hw::Cluster& cluster,
                     const hw::Efficiency& efficiency);

/// Mamba-2 scan: the larger of FLOPs at the scan's rate and three times the operands' bytes (states of chunks go to
/// memory and back) at its share of HBM. Backward has three times the FLOPs. Weakest price of all: no operator table
/// exists. Source: docs/cost_model.md, scan; FLOPs: arXiv 2405.21060, section 6.
Price scan_cost(models::OpSize size, const hw::Cluster& cluster, const hw::Efficiency& efficiency);

}  // namespace sim
