#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "calibration/fit_report.h"
#include "calibration/operator_table.h"
#include "hw/efficiency.h"
#include "models/step_program.h"

namespace calibration {

/// Curves of one machine, format and pass, which share what the power limit does to long sequences and, by mask, how
/// much of the last wave is lost.
enum class AttentionClass : std::size_t { causal, full, mla, mla_full };
inline constexpr std::size_t kAttentionClasses = 4;

struct AttentionSample {
  models::Attention work;
  hw::Seconds time;

  AttentionClass kind() const;
  hw::Flops flops() const;
  bool held_out() const;  ///< by heads, head dims and tokens
};

struct FittedAttention {
  std::array<std::optional<hw::AttentionCurve>, kAttentionClasses> curves;  ///< of the classes that have samples
  std::array<FittedCurve, kAttentionClasses> reports;
};

/// Without the held-out shapes. Form and priors: docs/calibration.md, attention. Precondition: all samples are of one
/// pass; not empty.
FittedAttention fit_attention(const std::vector<AttentionSample>& samples, const hw::Gpu& gpu, hw::Seconds overhead);

/// `attention_cudnn_fwd_bwd.csv`: system, dtype, mask (no_mask or top_left), window, batch, heads, kv_heads,
/// head_dim_qk, head_dim_vo, seqlen_q, seqlen_k, pass (fwd or bwd), deterministic, time_us. Windows, and deterministic
/// kernels where a curve has others, are not fitted.
///   overhead  of a kernel, as the profile has it
FamilyFit fit_attention_tables(const OperatorTables& tables, hw::Seconds overhead);

}  // namespace calibration
