#pragma once

#include <map>
#include <string>

#include "calibration/fit_report.h"
#include "calibration/operator_table.h"
#include "hw/units.h"

namespace calibration {

/// t = overhead + bytes / bandwidth.
struct StreamSpeed {
  hw::Seconds overhead;
  hw::BytesPerSecond bandwidth;
};

/// Casts of activations to fp8 by system, from `quant_fp8_trtllm.csv` (system, op, m, k, time_us; op fp8_static_quant
/// reads 2 B and writes 1 B an element).
struct CastFit {
  FamilyFit fit;
  std::map<std::string, StreamSpeed> speeds;  ///< by machine
};
CastFit fit_casts(const OperatorTables& tables);

/// Shares of HBM bandwidth that norms reach, from `norms_cudnn_fwd_bwd.csv` (system, norm, backend, tokens, hidden,
/// fwd_us, bwd_us): reported only.
FamilyFit fit_norms(const OperatorTables& tables);

}  // namespace calibration
