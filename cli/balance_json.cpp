#include "cli/balance.h"
#include "cli/json_writer.h"
#include "models/stage_layout_text.h"
#include "search/stage_form.h"

namespace cli {
namespace {

void write_placed(const char* key, const search::PlacedRun& placed, JsonWriter& json) {
  json.key(key).begin_object();
  json.member("pp_layout", models::stage_layout_text(placed.run.layout.chunks));
  const sim::Prediction& p = placed.prediction;
  json.member("step_time_s", p.step_time.value);
  json.key("interval80_s").begin_array().value(p.low.value).value(p.high.value).end_array();
  json.member("peak_gib", hw::to_gib(p.memory.peak)).member("fits", p.memory.fits());
  json.key("stages").begin_array();
  for (const sim::StageLoad& stage : placed.stages) {
    json.begin_object().member("microbatch_s", stage.work.value).member("peak_gib", hw::to_gib(stage.peak));
    json.end_object();
  }
  json.end_array().end_object();
}

void write_run(const BalancedRun& run, JsonWriter& json) {
  json.begin_object().member("name", run.name).member("framework", run.framework.name);
  json.member("room_gib", hw::to_gib(run.balanced.room));
  json.member("judged", run.balanced.judged).member("all", run.balanced.all);
  write_placed("before", run.balanced.before, json);
  write_placed("after", run.balanced.after, json);
  const search::StageForm& form = run.framework.stage_form;
  const std::string setting = search::stage_setting(form, run.balanced.after.run.layout.chunks);
  json.key("setting");
  if (setting.empty()) json.null();
  else json.begin_object().member("key", form.key).member("value", setting).end_object();
  json.end_object();
}

}  // namespace

std::string balance_json(const std::vector<BalancedRun>& runs) {
  JsonWriter json;
  json.begin_object().key("runs").begin_array();
  for (const BalancedRun& run : runs) write_run(run, json);
  json.end_array().end_object();
  return json.text();
}

}  // namespace cli
