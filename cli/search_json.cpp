#include "cli/json_writer.h"
#include "cli/search.h"

namespace cli {
namespace {

using search::Row;

void write_optional(const char* key, const std::optional<double>& value, JsonWriter& json) {
  json.key(key);
  value ? json.value(*value) : json.null();
}

void write_row(const Row& row, const search::Query& query, JsonWriter& json) {
  const sim::Prediction& p = row.prediction;
  const search::Judge judge(query, row.run.cluster, row.run.layout.gbs, row.run.layout.seq_len);
  json.begin_object();
  json.member("step_time_s", p.step_time.value);
  json.key("interval80_s").begin_array().value(p.low.value).value(p.high.value).end_array();
  json.member("closed_form_s", row.candidate.time.value);
  json.member("mfu", p.mfu).member("tokens_per_s_per_gpu", p.tokens_per_s_per_gpu);
  json.member("peak_gib", hw::to_gib(p.memory.peak));
  json.member("closed_form_peak_bytes", row.candidate.peak.value);
  json.member("missing_gib", std::max(0.0, hw::to_gib(row.candidate.peak - judge.room())));
  write_optional("cost_per_million_tokens", row.cost_per_million_tokens, json);
  write_optional("watt_hours_per_million_tokens", row.watt_hours_per_million_tokens, json);
  write_optional("days", row.days, json);
  write_optional("cost_of_goal", row.cost_of_goal, json);
  json.member("tie", row.tie).member("robust", row.robust);
  json.key("breakdown_s").begin_object();
  for (const sim::BreakdownItem& item : p.breakdown) json.member(item.what, item.time.value);
  json.end_object();
  json.key("place").begin_array();
  json.value(static_cast<double>(row.candidate.group)).value(static_cast<double>(row.candidate.place)).end_array();
  json.key("run").json(row.description.dump());
  json.end_object();
}

void write_rows(const char* key, const std::vector<Row>& rows, const search::Query& query, JsonWriter& json) {
  json.key(key).begin_array();
  for (const Row& row : rows) write_row(row, query, json);
  json.end_array();
}

void write_counts(const search::Answer& answer, JsonWriter& json) {
  const auto count = [&](const char* key, std::int64_t value) { json.member(key, static_cast<double>(value)); };
  json.key("counts").begin_object();
  count("legal", answer.counts.legal);
  count("timed", answer.counts.timed);
  count("pruned", answer.counts.pruned);
  count("too_large", answer.counts.too_large);
  count("too_slow", answer.counts.too_slow);
  count("groups", answer.groups);
  count("groups_done", answer.groups_done);
  json.end_object();
}

}  // namespace

std::string search_json(const search::Answer& answer) {
  JsonWriter json;
  json.begin_object();
  json.key("query").json(answer.query.description.dump());
  json.member("objective", search::name(answer.query.objective));
  json.member("memory_margin", answer.query.memory_margin);
  json.member("complete", answer.complete());
  json.key("shard").begin_object();
  json.member("index", answer.query.shard.index).member("of", answer.query.shard.of).end_object();
  write_counts(answer, json);
  json.member("closed_form_regret", answer.closed_form_regret);
  write_rows("layouts", answer.rows, answer.query, json);
  write_rows("front", answer.front, answer.query, json);
  write_rows("misses", answer.misses, answer.query, json);
  json.end_object();
  return json.text();
}

}  // namespace cli
