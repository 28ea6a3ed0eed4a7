#pragma once

#include "calibration/fit_report.h"
#include "calibration/gemm_fit.h"
#include "calibration/operator_table.h"

namespace calibration {

/// What fused MoE layers imply of grouped GEMMs against the dense curves, from `moe_fused_fwd.csv`: system, dtype,
/// kernel, hidden, inter, topk, num_experts, tp, ep, num_tokens, distribution (balanced), time_us. One fit for all
/// machines of a format; Reported only. Form: docs/calibration.md, grouped GEMM.
FamilyFit fit_grouped_gemms(const OperatorTables& tables, const GemmCurves& curves);

}  // namespace calibration
