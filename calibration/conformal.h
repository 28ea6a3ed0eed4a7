#pragma once

#include <span>

#include "calibration/cross_validation.h"
#include "hw/intervals.h"

/// Conformal 80 % intervals: as wide as four of five residuals of rows that refits had not seen. Source: Vovk,
/// Gammerman & Shafer, Algorithmic Learning in a Random World, 2005; Barber et al., Annals of Statistics 49(1), 2021
/// (jackknife+).
namespace calibration {

/// Sets low and high of each row by the residuals of all folds but its own.
void fill_intervals(CrossValidation& cross);

/// From all residuals: a new layout, model, system, framework by the validation of that key. `cross` must hold these
/// four.
hw::Intervals intervals_of(std::span<const CrossValidation> cross);

/// The `intervals` object of a profile.
hw::Node intervals_node(const hw::Intervals& intervals, const std::string& source);

}  // namespace calibration
