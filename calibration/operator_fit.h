#pragma once

#include <filesystem>

#include "calibration/fit_report.h"
#include "calibration/operator_table.h"
#include "hw/node.h"

namespace calibration {

/// Every table of the folder that is known (docs/calibration.md), fitted.
struct OperatorFit {
  FamilyFit tables;
  hw::Node profile;  ///< the prior with what the tables give in place
  std::size_t borrowed = 0;
};

/// Throws hw::InputError for a folder that is not there, a table that breaks its rules, or a prior that is no profile.
///   scalars  also the single numbers that tables give, not only curves
OperatorFit fit_operators(const OperatorTables& tables, const hw::Node& prior, bool scalars);

}  // namespace calibration
