#pragma once

#include <vector>

#include "calibration/fit_report.h"
#include "calibration/operator_table.h"
#include "hw/efficiency.h"

namespace calibration {

struct CollectiveSample {
  hw::Bytes payload;  ///< nccl-tests' size
  hw::Bytes sent;     ///< by each rank
  hw::Seconds time;
};

/// Sizes from here on make the errors of the report; smaller ones cost their latency.
inline constexpr hw::Bytes kLeastReportedPayload{65536};

struct FittedCollective {
  hw::CollectiveCurve curve;  ///< fitted to all sizes
  FittedCurve report;         ///< held out: every fifth octave, each once, in five fits
  FitErrors held_out_all_sizes;
};

/// Form: docs/calibration.md, collectives. Precondition: at least five sizes.
FittedCollective fit_collective(const std::vector<CollectiveSample>& samples);

/// `nccl_intranode.csv`: system, collective (all_reduce, all_gather, reduce_scatter, alltoall), dtype, n_gpus (2, 4,
/// 8), bytes, time_us. Rows of dtype `half` only.
FamilyFit fit_collectives(const OperatorTables& tables);

}  // namespace calibration
