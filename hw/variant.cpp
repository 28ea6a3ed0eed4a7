#include "hw/variant.h"

namespace hw {
namespace {

Origin origin_of(Origin fitted, bool changed) {
  return changed && fitted != Origin::roofline ? Origin::interpolated : fitted;
}

void scale(GemmCurve& curve, double rate, double bandwidth) {
  curve.rate = rate * curve.rate;
  curve.bandwidth = bandwidth * curve.bandwidth;
  curve.origin = origin_of(curve.origin, rate != 1 || bandwidth != 1);
}

void scale(AttentionCurves& curves, double rate) {
  for (AttentionCurve* curve :
       {&curves.causal_forward, &curves.causal_backward, &curves.full_forward, &curves.full_backward,
        &curves.mla_forward, &curves.mla_backward, &curves.mla_full_forward, &curves.mla_full_backward}) {
    curve->rate = rate * curve->rate;
    curve->origin = origin_of(curve->origin, rate != 1);
  }
}

void scale(CollectiveCurves& curves, double bandwidth) {
  for (CollectiveCurve& curve : curves) {
    curve.bandwidth = bandwidth * curve.bandwidth;
    curve.origin = origin_of(curve.origin, bandwidth != 1);
  }
}

}  // namespace

bool same_rates(const Cluster& a, const Cluster& b) {
  return a.gpu.architecture == b.gpu.architecture && a.gpu.peak == b.gpu.peak &&
         a.gpu.memory_bandwidth == b.gpu.memory_bandwidth && a.nvlink == b.nvlink;
}

Efficiency scaled_to(const Cluster& to, const Cluster& from, Efficiency fitted) {
  const double memory = to.gpu.memory_bandwidth / from.gpu.memory_bandwidth;
  const double nvlink = to.nvlink / from.nvlink;
  const double bf16 = peak_of(to.gpu, DType::bf16) / peak_of(from.gpu, DType::bf16);
  for (std::size_t i = 0; i < kDTypes; ++i) {
    const auto type = static_cast<DType>(i);
    scale(fitted.gemm[i], peak_of(to.gpu, type) / peak_of(from.gpu, type), memory);
    fitted.gemm[i].sm_count = to.gpu.sm_count;
    scale(fitted.attention[i], bf16);
  }
  scale(fitted.flash2, bf16);
  fitted.scan_rate = bf16 * fitted.scan_rate;
  for (CollectiveCurves* curves : {&fitted.nvlink_two, &fitted.nvlink_four, &fitted.nvlink}) scale(*curves, nvlink);
  fitted.dispatch_nvlink = nvlink * fitted.dispatch_nvlink;
  return fitted;
}

}  // namespace hw
