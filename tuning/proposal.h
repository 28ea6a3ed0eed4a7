#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hw/node.h"
#include "models/recipes/value.h"
#include "models/run.h"
#include "search/answer.h"
#include "search/gain.h"
#include "sim/prediction.h"
#include "tuning/layout_change.h"
#include "tuning/subject.h"

namespace tuning {

/// A layout for the recipe: the recipe's own, or another one.
struct Proposal {
  recipes::Value description;
  models::Run run;
  sim::Prediction prediction;   ///< by events
  std::vector<Change> changes;  ///< none: the recipe's own
};

/// The recipe's own layout, and all others worth a look, fastest first by events.
struct Proposals {
  Proposal own;
  std::vector<Proposal> others;
  double spread = 0;      ///< deviation of the logarithm of predicted over measured time of such layouts
  double half_width = 0;  ///< logarithm of the factor within which 80 of 100 predictions of layouts of one model lie
};

/// Layouts of a finished search as what would be written into the recipe. Those that are the recipe's own are left out.
Proposals proposals_of(const Subject& subject, const search::Answer& answer, models::Library& library,
                       const hw::Node& profile);

/// The other's, over the recipe's own.
search::Gain gain_of(const Proposals& proposals, const Proposal& other);

/// Why a layout cannot be written in the recipe's format.
struct Refused {
  std::vector<Change> changes;
  double step_time_s = 0;
  std::string why;
};

/// The best layout that the recipe's format has words for. Of those that are as fast, the one with fewest changes.
struct Pick {
  const Proposal* proposal = nullptr;  ///< nullptr: none is faster than the recipe
  std::string text;                    ///< the recipe, saying it
  std::vector<Refused> refused;        ///< faster ones
};

/// `least_gain`: a layout that gains less on the recipe's own is none.
Pick pick(const Subject& subject, const Proposals& proposals, double least_gain, models::Library& library);

}  // namespace tuning
