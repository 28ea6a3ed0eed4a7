#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hw/node.h"
#include "models/run.h"
#include "search/candidate.h"
#include "search/explore.h"
#include "search/judge.h"
#include "search/query.h"
#include "sim/prediction.h"

namespace search {

/// One layout of an answer, predicted in full by events from a run description of its own.
struct Row {
  hw::Node description;  ///< what `stepcast predict` reads
  models::Run run;
  sim::Prediction prediction;
  Candidate candidate;
  Score score;          ///< by events
  Score worst;          ///< with links, matmuls, memory or host as much slower as the interval allows: the largest
  bool tie = false;     ///< too near the first to be told apart
  bool robust = false;  ///< of these, the one whose worst score is best
  std::optional<double> cost_per_million_tokens = {}, watt_hours_per_million_tokens = {}, days = {}, cost_of_goal = {};
};

/// What a search answers.
struct Answer {
  Query query;
  Counts counts = {};
  std::int64_t groups = 0, groups_done = 0;
  std::vector<Row> rows;          ///< best first by events, all Query::rerank of them
  std::vector<Row> front;         ///< step time against memory, fastest first; closed form ranks them
  std::vector<Row> misses;        ///< that do not fit by little, best first
  double closed_form_regret = 0;  ///< by events: the closed form's best over the best of all that were ranked, less 1
  bool complete() const { return groups_done == groups; }
};

/// Searches the query's space and predicts the best layouts in full.
///   profile  as sim::predict needs it (calibration/profiles)
/// Throws hw::InputError.
Answer search(const Query& query, models::Library& library, const hw::Node& profile, int threads,
              const Progress& progress);

/// The run description of a candidate: the setting's keys, then those of the layout.
hw::Node description_of(const Query& query, const Candidate& candidate, const models::Run& laid_out);

/// Answers of the shards of one query, as `stepcast search --json` wrote them, as one. Throws hw::InputError where they
/// are of different queries, or a shard is there twice or missing.
Answer merge(const std::vector<hw::Node>& answers, models::Library& library, const hw::Node& profile);

}  // namespace search
