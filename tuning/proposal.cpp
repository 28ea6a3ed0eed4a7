#include "tuning/proposal.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "hw/efficiency.h"
#include "hw/input_error.h"
#include "models/recipes/run_facts.h"
#include "search/rows.h"

namespace tuning {
namespace {

using recipes::Value;

/// Step times so near each other count as the same: fewer changes decide.
constexpr double kSameTime = 1e-3;

/// A layout that the recipe cannot take over: another key of it stands against it.
std::optional<models::Run> parsed(const Value& description, const std::string& file, models::Library& library) try {
  return models::parse_run(recipes::to_node(description, file), library, false);
} catch (const hw::InputError&) {
  return std::nullopt;
}

/// Of a prediction: what its interval says, and more where its prices rest on a datasheet alone, as those of a machine
/// do that nobody has calibrated.
double spread_of(const sim::Prediction& prediction) {
  constexpr double kInterval80 = 1.2816;  // deviations of a normal distribution
  constexpr double kDatasheet = 0.5;      // deviation of such a price: kernels reach 0.4 to 0.9 of what is printed
  const double stated = std::log(prediction.high / prediction.step_time) / kInterval80;
  hw::Seconds all{0};
  for (const hw::Seconds time : prediction.origin) all = all + time;
  const double share = prediction.origin[static_cast<std::size_t>(hw::Origin::roofline)] / all;
  return std::hypot(stated, kDatasheet * share);
}

bool fits_better(const Proposal& a, const Proposal& b) {
  const bool a_fits = a.prediction.memory.fits(), b_fits = b.prediction.memory.fits();
  if (a_fits != b_fits) return a_fits;
  return a.prediction.step_time < b.prediction.step_time;
}

}  // namespace

Proposals proposals_of(const Subject& subject, const search::Answer& answer, models::Library& library,
                       const hw::Node& profile) {
  models::Run own = subject.checked(library);
  const hw::Efficiency efficiency = hw::parse_efficiency(profile, own.cluster);
  const sim::Prediction predicted = sim::predict(own, efficiency, sim::Tier::events);
  Proposals proposals{.own = {subject.run(), std::move(own), predicted, {}}, .others = {}};
  const models::Run& was = proposals.own.run;
  std::vector<std::vector<std::string>> seen{recipes::run_facts(was)};
  for (const search::Row& row : answer.rows) {
    Value description = laid_out(subject.run(), was, row);
    std::optional<models::Run> run = parsed(description, subject.file(), library);
    if (!run) continue;
    const std::vector<std::string> its_facts = recipes::run_facts(*run);
    if (std::ranges::find(seen, its_facts) != seen.end()) continue;
    seen.push_back(its_facts);
    std::vector<Change> changes = changes_of(subject.run(), was, description, *run);
    const bool as_found = its_facts == recipes::run_facts(row.run);
    const sim::Prediction prediction = as_found ? row.prediction : sim::predict(*run, efficiency, sim::Tier::events);
    proposals.others.push_back({std::move(description), *std::move(run), prediction, std::move(changes)});
  }
  std::ranges::stable_sort(proposals.others, fits_better);
  proposals.spread = spread_of(proposals.own.prediction);
  proposals.half_width = search::layout_half_width(was, efficiency);
  return proposals;
}

search::Gain gain_of(const Proposals& proposals, const Proposal& other) {
  return search::gain_of(proposals.own.prediction.step_time, other.prediction.step_time, proposals.half_width);
}

namespace {

bool beats(const Proposal& other, const Proposal& own, double least_gain) {
  if (!other.prediction.memory.fits()) return false;
  if (!own.prediction.memory.fits()) return true;
  return own.prediction.step_time / other.prediction.step_time > 1 + least_gain;
}

/// Those from `first` on that are as fast as it, fewest changes first.
std::vector<const Proposal*> as_fast_as(const std::vector<Proposal>& others, std::size_t first) {
  std::vector<const Proposal*> same;
  for (std::size_t i = first; i < others.size(); ++i)
    if (others[i].prediction.step_time <= (1 + kSameTime) * others[first].prediction.step_time &&
        others[i].prediction.memory.fits())
      same.push_back(&others[i]);
  std::ranges::stable_sort(same, {}, [](const Proposal* proposal) { return proposal->changes.size(); });
  return same;
}

}  // namespace

Pick pick(const Subject& subject, const Proposals& proposals, double least_gain, models::Library& library) {
  Pick best;
  for (std::size_t i = 0; i < proposals.others.size(); ++i) {
    if (!beats(proposals.others[i], proposals.own, least_gain)) break;
    for (const Proposal* proposal : as_fast_as(proposals.others, i)) {
      try {
        best.text = subject.saying(proposal->description, library);
        best.proposal = proposal;
        return best;
      } catch (const hw::InputError& error) {
        if (proposal == &proposals.others[i])
          best.refused.push_back({proposal->changes, proposal->prediction.step_time.value, error.what()});
      }
    }
  }
  return best;
}

}  // namespace tuning
