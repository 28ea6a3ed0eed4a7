#include "cli/json_writer.h"
#include "cli/predict.h"
#include "cli/wording.h"

namespace cli {
namespace {

void write_memory(const sim::Memory& memory, JsonWriter& json) {
  json.key("memory").begin_object();
  json.member("peak_gib", hw::to_gib(memory.peak));
  json.key("by_kind").begin_object();
  for (const sim::MemoryItem& item : memory.items) json.member(item.kind, hw::to_gib(item.bytes));
  json.end_object();
  json.member("available_gib", hw::to_gib(memory.available));
  json.member("stage", memory.stage);
  json.member("moment", memory.moment);
  json.end_object();
}

void write_origin(const sim::Prediction& prediction, JsonWriter& json) {
  double total = 0;
  for (const hw::Seconds time : prediction.origin) total += time.value;
  json.key("cost_origin").begin_object();
  for (int i = 0; i < hw::kOrigins; ++i) {
    const double time = prediction.origin[static_cast<std::size_t>(i)].value;
    json.member(name(static_cast<hw::Origin>(i)), total > 0 ? time / total : 0.0);
  }
  json.end_object();
}

}  // namespace

void write_prediction(const models::Run& run, const sim::Prediction& prediction, JsonWriter& json) {
  json.key("id");
  run.id.empty() ? json.null() : json.value(run.id);
  json.member("model", run.model.name).member("system", run.cluster.name).member("gpus", run.layout.gpus);
  json.member("step_time_s", prediction.step_time.value);
  json.key("interval80_s").begin_array().value(prediction.low.value).value(prediction.high.value).end_array();
  json.member("tflops_per_gpu", prediction.tflops_per_gpu);
  json.member("mfu", prediction.mfu);
  json.member("tokens_per_s_per_gpu", prediction.tokens_per_s_per_gpu);
  write_memory(prediction.memory, json);
  json.member("fits", prediction.memory.fits());
  json.key("breakdown_s").begin_object();
  for (const sim::BreakdownItem& item : prediction.breakdown) json.member(item.what, item.time.value);
  json.end_object();
  write_origin(prediction, json);
  json.texts("assumed", prediction.assumed);
  json.texts("not_understood", run.not_understood);
}

std::string prediction_json(const models::Run& run, const sim::Prediction& prediction) {
  JsonWriter json;
  json.begin_object();
  write_prediction(run, prediction, json);
  json.end_object();
  return json.text();
}

}  // namespace cli
