#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "calibration/fit_report.h"
#include "calibration/memory_bound_fit.h"
#include "calibration/operator_table.h"
#include "hw/efficiency.h"
#include "models/step_program.h"
#include "sim/gemm_cost.h"

namespace calibration {

/// One measured GEMM. `cast`: what of `time` is the cast of its activations, as the cast's own curve has it.
struct GemmSample {
  sim::GemmShape shape;
  hw::Seconds time, cast;
};

struct FittedGemm {
  hw::GemmCurve curve;
  FittedCurve report;
};

/// The smooth curve first, then the grid and the weights of tiles on top of it, all without the held-out (n, k) pairs.
/// Form and method: docs/calibration.md, GEMM. Precondition: samples not empty.
FittedGemm fit_gemm(const std::vector<GemmSample>& samples, hw::DType type, const hw::Gpu& gpu);

/// Forward, as models/ counts it: both operands and a result of 2 B read or written once.
hw::Bytes gemm_bytes(sim::GemmShape shape, hw::DType type, models::GemmRole role);

using GemmCurves = std::map<std::pair<std::string, hw::DType>, hw::GemmCurve>;  ///< by machine and format

/// `gemm.csv` and every `gemm_alt*.csv`: system, dtype, m, n, k, time_us, and if there est_quant_us and role. 16-bit
/// formats take the geometric mean of all collections of a shape, the others the first collection only.
struct GemmTablesFit {
  FamilyFit fit;
  GemmCurves curves;
};
GemmTablesFit fit_gemms(const OperatorTables& tables, const std::map<std::string, StreamSpeed>& casts);

}  // namespace calibration
