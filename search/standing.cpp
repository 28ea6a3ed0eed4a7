#include "search/standing.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "search/open_query.h"
#include "search/rows.h"
#include "search/space.h"

namespace search {
namespace {

/// The keys that a search gives to the layout of a run.
models::LayoutKeys keys_of(const models::Run& run, const Query& query) {
  const models::Layout& l = run.layout;
  models::LayoutKeys keys{.gpus = l.gpus,
                          .tp = l.tp,
                          .pp = l.pp,
                          .vp = l.vp,
                          .cp = l.cp,
                          .ep = l.ep,
                          .etp = l.etp,
                          .sp = l.sp && l.tp > 1,
                          .fsdp = l.fsdp,
                          .zero = l.zero,
                          .schedule = l.schedule,
                          .mbs = l.mbs};
  if (l.cp > 1 && !query.dimensions.cp_kind.empty()) keys.cp_kind = l.cp_kind;
  return keys;
}

bool holds(const Group& group, const models::LayoutKeys& keys) {
  const models::LayoutKeys& g = group.keys;
  return g.tp == keys.tp && g.cp == keys.cp && g.sp == keys.sp && g.ep == keys.ep && g.etp == keys.etp &&
         g.mbs == keys.mbs && g.cp_kind == keys.cp_kind;
}

bool has(const Space& space, const models::Run& laid_out, const models::LayoutKeys& keys) {
  return std::ranges::any_of(space.groups(), [&](const Group& group) {
    models::Run run = space.setting(group.setting).base();
    if (!holds(group, keys) || !same_recompute(run.recompute, laid_out.recompute)) return false;
    bool found = false;
    space.each(group, run, [&](const models::LayoutKeys& each, const models::Run&) { found |= each == keys; });
    return found;
  });
}

/// The rule that the framework's description has against the layout, or what else keeps it out.
std::string why_missing(const Query& query, const Space& space, const models::LayoutKeys& keys) {
  models::Run run = space.setting(0).base();
  if (const auto refused = space.setting(0).lay_out(keys, run)) return refused->key + " " + refused->rule;
  for (const Rule& rule : query.framework.rules)
    if (rule.when.holds(run) && !rule.need.holds(run)) return rule.origin;
  return "a value that the space of framework " + query.framework.name + " does not have";
}

void compare(const hw::Efficiency& efficiency, Standing& standing) {
  if (standing.answer.rows.empty()) return;
  standing.gain = gain_of(standing.own.step_time, standing.answer.rows.front().prediction.step_time,
                          layout_half_width(standing.run, efficiency));
}

}  // namespace

Standing standing_of(const hw::Node& description, const models::Run& stated, models::Library& library,
                     const hw::Node& profile, int threads, const Progress& progress) {
  models::Run run = sim::lower_to_fit(stated).run;  // with what it recomputes, where that is not stated
  run.recompute_known = true;
  Query query = query_around(description, run, library);
  const hw::Efficiency efficiency = hw::parse_efficiency(profile, run.cluster);
  const sim::Prediction closed = sim::predict(run, efficiency, sim::Tier::closed_form);
  query.count_faster_than = closed.step_time;
  const Space space(query, library);
  const models::LayoutKeys keys = keys_of(run, query);
  Standing standing{
      .run = run,
      .own = sim::predict(run, efficiency, sim::Tier::events),
      .own_closed_form = closed.step_time,
      .missing = has(space, run, keys) ? "" : why_missing(query, space, keys),
      .fits = closed.memory.peak <= room_of(query.memory_margin, query.framework.memory_reserve, run.cluster),
      .answer = search(query, library, profile, threads, progress)};
  compare(efficiency, standing);
  return standing;
}

}  // namespace search
