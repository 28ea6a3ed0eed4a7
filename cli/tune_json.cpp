#include "cli/json_writer.h"
#include "cli/tune.h"

namespace cli {
namespace {

using tuning::Proposal;

void write_changes(const std::vector<tuning::Change>& changes, JsonWriter& json) {
  json.key("changes").begin_array();
  for (const tuning::Change& change : changes) {
    json.begin_object().member("field", change.field).member("before", change.before);
    json.member("after", change.after).end_object();
  }
  json.end_array();
}

void write_side(const char* key, const Proposal& side, JsonWriter& json) {
  const sim::Prediction& p = side.prediction;
  json.key(key).begin_object();
  json.member("step_time_s", p.step_time.value);
  json.key("interval80_s").begin_array().value(p.low.value).value(p.high.value).end_array();
  json.member("mfu", p.mfu).member("peak_gib", hw::to_gib(p.memory.peak));
  json.member("available_gib", hw::to_gib(p.memory.available)).member("fits", p.memory.fits());
  json.key("breakdown_s").begin_object();
  for (const sim::BreakdownItem& item : p.breakdown) json.member(item.what, item.time.value);
  json.end_object();
  json.key("run").json(recipes::json(side.description));
  json.end_object();
}

}  // namespace

std::string tuned_json(const Tuned& tuned) {
  const Proposal* best = tuned.pick.proposal;
  JsonWriter json;
  json.begin_object().member("recipe", tuned.subject.file());
  json.member("legal", static_cast<double>(tuned.answer.counts.legal));
  json.member("complete", tuned.answer.complete());
  json.member("better", best != nullptr);
  write_side("before", tuned.proposals.own, json);
  if (best != nullptr) {
    const search::Gain gain = tuning::gain_of(tuned.proposals, *best);
    write_side("after", *best, json);
    json.member("gain", gain.ratio - 1);
    json.key("gain80").begin_array().value(gain.low - 1).value(gain.high - 1).end_array();
    write_changes(best->changes, json);
  } else {
    for (const char* key : {"after", "gain", "gain80"}) json.key(key).null();
    write_changes({}, json);
  }
  write_tries(tuned, json);
  json.key("refused").begin_array();
  for (const tuning::Refused& refused : tuned.pick.refused) {
    json.begin_object().member("step_time_s", refused.step_time_s).member("why", refused.why);
    write_changes(refused.changes, json);
    json.end_object();
  }
  return json.end_array().end_object().text();
}

}  // namespace cli
