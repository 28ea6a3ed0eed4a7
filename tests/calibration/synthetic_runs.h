#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "calibration/measured_runs.h"
#include "calibration/runs_fit.h"
#include "hw/node.h"

/// Measured runs of which one knows the truth: published configurations with step times that a profile predicts.
namespace calibration::test {

/// Where fits of these tests start.
const hw::Node& prior_profile();

/// Every `stride`-th row of a file in configs/runs/published that can be predicted, `offset` from its start.
std::vector<hw::Node> published_rows(const std::string& file, std::size_t stride, std::size_t offset = 0);

/// The rows with the closed-form step times of `truth` as measured ones.
std::vector<hw::Node> measured_by(const hw::Node& truth, const std::vector<hw::Node>& rows);

/// The row with its measured step time times `factor`.
hw::Node slower(const hw::Node& row, double factor);

/// A JSONL file of this process for each element, in order; read, then removed.
MeasuredRuns runs_of(const std::vector<std::vector<hw::Node>>& files);

/// A plan for prior_profile() from the JSON text of its parameters.
std::vector<FitParameter> plan_of(const std::string& parameters);

/// `profile` with all numbers of a parameter times `factor`.
hw::Node moved_by(const hw::Node& profile, const FitParameter& parameter, double factor);

/// The number at a JSON pointer.
double number_at(const hw::Node& profile, const std::string& pointer);

}  // namespace calibration::test
