#include <optional>
#include <string>
#include <vector>

#include "cli/explain.h"
#include "cli/json_writer.h"
#include "cli/predict.h"

namespace cli {
namespace {

void write_run(const char* key, const ExplainedRun& explained, JsonWriter& json) {
  json.key(key).begin_object();
  json.member("file", explained.file);
  json.texts("what_if", explained.changes);
  write_prediction(explained.run(), explained.prediction, json);
  json.end_object();
}

void write_text(const char* key, const std::optional<std::string>& text, JsonWriter& json) {
  json.key(key);
  text ? json.value(*text) : json.null();
}

void write_stated(const char* key, const std::vector<StatedChange>& changes, JsonWriter& json) {
  json.key(key).begin_array();
  for (const StatedChange& change : changes) {
    json.begin_object().member("what", change.what);
    write_text("a", change.a, json);
    write_text("b", change.b, json);
    json.member("unit", change.unit).end_object();
  }
  json.end_array();
}

void write_range(const char* key, const sim::TimeRange& range, JsonWriter& json) {
  json.key(key).begin_array().value(range.low.value).value(range.high.value).end_array();
}

void write_difference(const Explanation& e, JsonWriter& json) {
  const sim::Prediction &a = e.a.prediction, &b = e.b.prediction;
  const sim::Difference& d = e.difference;
  json.key("difference").begin_object();
  json.member("step_time_s", d.step.value);
  json.member("share_of_a", d.step / a.step_time);
  write_range("range80_shared_s", d.shared, json);
  write_range("range80_independent_s", d.independent, json);
  json.member("b_slower", d.b_slower);
  json.member("tokens_per_s_per_gpu", b.tokens_per_s_per_gpu - a.tokens_per_s_per_gpu);
  json.member("gpu_s_per_million_tokens", gpu_seconds_per_million_tokens(b) - gpu_seconds_per_million_tokens(a));
  json.member("mfu", b.mfu - a.mfu);
  json.member("peak_gib", hw::to_gib(b.memory.peak - a.memory.peak));
  json.end_object();
}

void write_parts(const Explanation& e, JsonWriter& json) {
  json.key("breakdown").begin_array();
  for (const sim::PartChange& part : e.difference.parts) {
    json.begin_object().member("part", part.what).member("a_s", part.a.value).member("b_s", part.b.value);
    json.member("difference_s", part.change().value);
    json.member("share_of_a", part.change() / e.a.prediction.step_time).end_object();
  }
  json.end_array();
}

void write_memory_changes(const sim::Difference& difference, JsonWriter& json) {
  json.key("memory").begin_array();
  for (const sim::MemoryChange& kind : difference.memory) {
    json.begin_object().member("kind", kind.kind);
    json.member("a_gib", hw::to_gib(kind.a)).member("b_gib", hw::to_gib(kind.b));
    json.member("difference_gib", hw::to_gib(kind.change())).end_object();
  }
  json.end_array();
}

void write_ops(const std::vector<sim::OpChange>& ops, JsonWriter& json) {
  json.key("ops").begin_array();
  for (const sim::OpChange& op : ops) {
    json.begin_object().member("block", op.block).member("op", op.op).member("computes", op.computes);
    json.member("a_s", op.a.value).member("b_s", op.b.value).member("difference_s", op.change().value);
    json.member("a_bound", name(op.a_bound)).member("b_bound", name(op.b_bound)).end_object();
  }
  json.end_array();
}

}  // namespace

std::string explanation_json(const Explanation& e) {
  JsonWriter json;
  json.begin_object();
  write_run("a", e.a, json);
  write_run("b", e.b, json);
  write_stated("description", e.keys, json);
  write_stated("machine", e.figures, json);
  write_difference(e, json);
  write_parts(e, json);
  write_memory_changes(e.difference, json);
  write_ops(e.ops, json);
  json.end_object();
  return json.text();
}

}  // namespace cli
