#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/answer.h"
#include "models/run.h"
#include "search/answer.h"

namespace cli {

/// `stepcast search`: ranks all legal layouts of a model on a machine.
struct SearchOptions {
  std::string query;  ///< file of the query; empty where flags say it all
  std::string model, system, gpus, gbs, seq, framework, precision, objective, top, rerank;
  std::string shard;                 ///< `i/n`
  std::vector<std::string> merge;    ///< answers of shards
  std::vector<std::string> rank_of;  ///< runs whose place among the layouts of their space is asked
  std::vector<std::string> effort;   ///< queries of which the search itself is measured
  std::vector<std::string> check;    ///< queries on which shortcuts are checked
  std::string json, markdown;        ///< where to write; empty: not
  std::string profile;               ///< as read_profile()
  int threads = 0;                   ///< 0: one a core
  bool no_prune = false, quiet = false, balance_stages = false;
};

/// Throws hw::InputError. Status kNo where no layout fits, or none reaches the goal.
Answer search(const SearchOptions& options, const models::DataDirectory& data);

/// What is printed: docs/search.md.
std::string search_text(const search::Answer& answer, std::size_t width);
std::string search_json(const search::Answer& answer);

}  // namespace cli
