#include "sim/attention_cost.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "sim/gemm_cost.h"

namespace sim {
namespace {

const hw::AttentionCurve& curve_of(const hw::AttentionCurves& curves, const models::Attention& work) {
  const bool full = work.mask == models::Mask::full;
  if (work.qk_dim != work.v_dim) {
    if (full) return work.backward ? curves.mla_full_backward : curves.mla_full_forward;
    return work.backward ? curves.mla_backward : curves.mla_forward;
  }
  if (full) return work.backward ? curves.full_backward : curves.full_forward;
  return work.backward ? curves.causal_backward : curves.causal_forward;
}

/// torch's scaled_dot_product_attention prefers cuDNN on Blackwell, which FlashAttention 2 does not support. That has
/// no kernels for fp32 either (its README: fp16 and bf16).
bool runs_fused(const models::Attention& work, const hw::Gpu& gpu) {
  const bool blackwell = gpu.architecture.starts_with("sm_10") || gpu.architecture.starts_with("sm_12");
  const bool wide = hw::bytes_per_element(work.operand) > 2;
  return wide || work.backend == models::AttentionBackend::fused ||
         (work.backend == models::AttentionBackend::sdpa && blackwell);
}

/// 1 at head dim 128 and above, the measured share at 64, linear between and below.
double head_dim_rate(const models::Attention& work, const hw::Efficiency& efficiency) {
  const int dim = std::clamp(std::max(work.qk_dim, work.v_dim), 32, 128);
  const double at_64 = work.backward ? efficiency.head64_backward : efficiency.head64_forward;
  return std::max(0.1, 1 - (1 - at_64) * (128 - dim) / 64);
}

/// SM time of whole waves of tiles over that of the tiles alone.
double wave_stretch(const models::Attention& work, int tile, int sm_count) {
  const std::int64_t rows = work.backward ? work.keys : work.queries;
  const std::int64_t tiles = work.batch * work.heads * ((rows + tile - 1) / tile);
  const std::int64_t waves = (tiles + sm_count - 1) / sm_count;
  return static_cast<double>(waves * sm_count) / static_cast<double>(tiles);
}

}  // namespace

double attention_stretch(const models::Attention& work, const hw::AttentionCurve& curve, int sm_count) {
  constexpr double kDroopsFrom = 8192;  // keys
  const auto keys = static_cast<double>(work.keys);
  double stretch = 1 + curve.ramp / keys;
  if (curve.droop > 0 && keys > kDroopsFrom) stretch *= 1 + curve.droop * std::log2(keys / kDroopsFrom);
  if (curve.wave > 0) stretch *= 1 + curve.wave * (wave_stretch(work, curve.tile, sm_count) - 1);
  return stretch;
}

namespace {

hw::Seconds windowed(const models::Attention& work, hw::Flops flops, const hw::AttentionCurve& curve, double factor,
                     const hw::Efficiency& efficiency) {
  const double seen = work.mean_keys();
  const double touched = std::max(seen, std::min(seen + efficiency.window_extra_keys, static_cast<double>(work.keys)));
  return (touched / seen) * (flops / (factor * efficiency.window_rate * curve.rate));
}

/// cuDNN's backward kernels in 8 bits compute the whole causal triangle (cudnn-frontend@3929da2ef4c1, gpt_oss rows: 3.2
/// to 3.9 times the time at twice the tokens).
bool skips_window(const models::Attention& work) { return !work.backward || hw::bytes_per_element(work.operand) >= 2; }

/// Backward: gradients of both products (four GEMMs), of softmax and of dropout, each twice the forward traffic.
hw::Seconds unfused(const models::Attention& work, hw::Bytes operands, const hw::Cluster& cluster,
                    const hw::Efficiency& efficiency) {
  constexpr double kBytesPerScore = 2, kGemmPasses = 2, kSoftmaxPasses = 4;
  const double pairs =
      static_cast<double>(work.batch) * work.heads * static_cast<double>(work.queries) * static_cast<double>(work.keys);
  const hw::Flops flops{2 * pairs * (work.qk_dim + work.v_dim)};
  const hw::Bytes scores{kBytesPerScore * pairs};
  const hw::GemmCurve& curve = efficiency.gemm[static_cast<std::size_t>(work.operand)];
  const hw::Seconds gemms =
      gemm_time(curve, flops, kGemmPasses * scores + operands, efficiency.sustained) + curve.overhead;
  const hw::Seconds softmax = kSoftmaxPasses * scores / (efficiency.unfused_softmax * cluster.gpu.memory_bandwidth) +
                              2.0 * efficiency.pointwise_overhead;
  return (work.backward ? 2.0 : 1.0) * (gemms + softmax);
}

}  // namespace

Price attention_cost(const models::Attention& work, models::OpSize size, const hw::Cluster& cluster,
                     const hw::Efficiency& efficiency) {
  Price price;
  price.ideal = roofline(cluster.gpu, work.operand, size.flops, size.bytes);
  if (work.backend == models::AttentionBackend::unfused) {
    price.time = unfused(work, size.bytes, cluster, efficiency);
    return price;
  }
  const bool fused = runs_fused(work, cluster.gpu);
  const hw::AttentionCurve& curve =
      curve_of(fused ? efficiency.attention[static_cast<std::size_t>(work.operand)] : efficiency.flash2, work);
  double factor = efficiency.sustained * head_dim_rate(work, efficiency) *
                  (fused ? efficiency.fused_attention_rate : efficiency.flash2_rate);
  if (work.backend == models::AttentionBackend::flex) factor *= efficiency.flex_rate;
  if (work.backend == models::AttentionBackend::triton) factor *= efficiency.triton_rate;
  const auto tiled = [&](double share) {
    return attention_stretch(work, curve, cluster.gpu.sm_count) * (share * size.flops / (factor * curve.rate));
  };
  if (work.mask != models::Mask::window) {
    price.time = tiled(1);
  } else if (skips_window(work)) {
    price.time = windowed(work, size.flops, curve, factor, efficiency);
  } else {
    price.time = tiled(0.5 * static_cast<double>(work.keys + 1) / work.mean_keys());
  }
  // Short sequences with many heads are bound by their operands.
  price.time = std::max(price.time, size.bytes / cluster.gpu.memory_bandwidth) + efficiency.attention_overhead;
  price.origin = curve.origin;
  return price;
}

Price scan_cost(models::OpSize size, const hw::Cluster& cluster, const hw::Efficiency& efficiency) {
  constexpr double kPasses = 3;
  const hw::Seconds math = size.flops / efficiency.scan_rate;
  const hw::Seconds memory = kPasses * size.bytes / (efficiency.scan_bandwidth * cluster.gpu.memory_bandwidth);
  return {.time = std::max(math, memory) + efficiency.pointwise_overhead,
          .ideal = roofline(cluster.gpu, hw::DType::bf16, size.flops, size.bytes),
          .origin = hw::Origin::runs};
}

}  // namespace sim
