#pragma once

#include <map>
#include <string>

#include "hw/efficiency.h"
#include "search/answer.h"

namespace search {

/// Predicts layouts in full. Fitted efficiencies are read once a machine.
class RowMaker {
 public:
  RowMaker(const Query& query, models::Library& library, const hw::Node& profile)
      : query_(query), library_(library), profile_(profile) {}

  /// `candidate`: with its closed-form time and score.
  Row row(const hw::Node& description, const Candidate& candidate);
  const hw::Efficiency& efficiency(const hw::Cluster& cluster);

 private:
  const Query& query_;
  models::Library& library_;
  const hw::Node& profile_;
  std::map<std::string, hw::Efficiency> efficiencies_;
};

/// Logarithm of the factor by which predictions of layouts of one model and machine err, in 80 of 100 cases.
double layout_half_width(const models::Run& run, const hw::Efficiency& efficiency);

/// Orders rows by events, marks ties and the robust one, and says what the closed form's order would have cost.
void finish(Answer& answer, RowMaker& maker);

}  // namespace search
