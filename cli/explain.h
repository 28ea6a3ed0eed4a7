#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/answer.h"
#include "cli/run_differences.h"
#include "hw/efficiency.h"
#include "hw/node.h"
#include "models/run.h"
#include "sim/difference.h"
#include "sim/op_times.h"
#include "sim/prediction.h"

namespace cli {

/// `stepcast explain`: what changes between two runs, or between a run and the same on a changed machine.
struct ExplainOptions {
  std::vector<std::string> runs;     ///< one or two files of run descriptions
  std::vector<std::string> what_if;  ///< changes of the second's machine, `nic=x2`: hw/what_if.h
  std::string json;                  ///< where to write; empty: not
  std::string profile;               ///< as read_profile()
  std::string tier = "events";       ///< or `closed`
};

/// Throws hw::InputError.
Answer explain(const ExplainOptions& options, const models::DataDirectory& data);

/// One of the two, predicted as `stepcast predict` does.
struct ExplainedRun {
  std::string file;                  ///< as named on the command line
  std::vector<std::string> changes;  ///< what-ifs, as written
  hw::Node description;              ///< on the system of the what-ifs
  hw::Node machine;                  ///< with all of them
  sim::LoweredRun lowered;
  hw::Efficiency efficiency;
  sim::Prediction prediction;
  std::vector<sim::OpTime> ops;

  const models::Run& run() const { return lowered.run; }
};

struct Explanation {
  ExplainedRun a, b;
  std::vector<StatedChange> keys, figures;  ///< what the descriptions state differently: of run and machine
  sim::Difference difference;
  std::vector<sim::OpChange> ops;
};

/// What is printed: docs/explain.md.
std::string explanation_text(const Explanation& explanation, std::size_t width);
std::string explanation_json(const Explanation& explanation);

/// GPU seconds that a million tokens take.
double gpu_seconds_per_million_tokens(const sim::Prediction& prediction);

/// The waterfall of the step time from a to b, and memory by kind.
std::string difference_tables(const Explanation& explanation, std::size_t width);
/// The ops whose time changes most, block by block.
std::string op_change_table(const Explanation& explanation, std::size_t width);

}  // namespace cli
