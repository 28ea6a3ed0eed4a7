#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/answer.h"
#include "models/run.h"
#include "search/balance.h"
#include "search/framework.h"

namespace cli {

/// `stepcast balance`: where the layers of a pipeline lie best.
struct BalanceOptions {
  std::vector<std::string> files;  ///< RUN.json; or several, and RUNS.jsonl: one line a run
  std::string json, markdown;      ///< where to write; empty: not
  std::string out;                 ///< the run description with its new layout; empty: not
  std::string profile;             ///< as read_profile()
};

/// Throws hw::InputError. Status kNo where a run does not fit, whatever its placement.
Answer balance(const BalanceOptions& options, const models::DataDirectory& data);

/// One run and what became of it.
struct BalancedRun {
  std::string name;
  search::Framework framework;
  search::Balanced balanced;
};

/// What is printed: docs/search.md. One run stage by stage, several in a line each.
std::string balance_text(const std::vector<BalancedRun>& runs, std::size_t width);
std::string balance_json(const std::vector<BalancedRun>& runs);
std::string balance_markdown(const std::vector<BalancedRun>& runs);

}  // namespace cli
