#include <filesystem>
#include <map>
#include <string>

#include "cli/json_writer.h"
#include "cli/validate.h"

namespace cli {
namespace {

using calibration::ErrorSummary;
using calibration::ValidatedRow;

/// A number that means something only `if_known`.
void write_number(JsonWriter& json, std::string_view key, double number, bool if_known) {
  json.key(key);
  if_known ? json.value(number) : json.null();
}

void write_text(JsonWriter& json, std::string_view key, const std::string& text) {
  json.key(key);
  text.empty() ? json.null() : json.value(text);
}

void write_memory(JsonWriter& json, const ValidatedRow& row) {
  json.key("memory");
  if (!row.is_predicted()) {
    json.null();
    return;
  }
  json.begin_object().member("predicted_gib", hw::to_gib(row.memory_predicted));
  json.member("available_gib", hw::to_gib(row.memory_available));
  write_number(json, "measured_gib", hw::to_gib(row.memory_measured), row.has_memory());
  write_number(json, "error", row.has_memory() ? row.memory_error() : 0, row.has_memory());
  json.end_object();
}

void write_row(JsonWriter& json, const ValidatedRow& row) {
  const bool predicted = row.is_predicted();
  json.begin_object();
  write_text(json, "file", row.file);
  json.member("line", row.line);
  for (const auto& [key, text] : {std::pair{"id", &row.id},
                                  {"framework", &row.framework},
                                  {"model", &row.model},
                                  {"system", &row.system},
                                  {"family", &row.family},
                                  {"precision", &row.precision}})
    write_text(json, key, *text);
  json.key("gpus");
  row.gpus > 0 ? json.value(row.gpus) : json.null();
  write_number(json, "measured_step_s", row.measured.value, row.measured.value > 0);
  write_number(json, "predicted_step_s", row.predicted.value, predicted);
  write_number(json, "error", predicted ? row.error() : 0, predicted);
  json.key("interval80_s");
  if (predicted) {
    json.begin_array().value(row.low.value).value(row.high.value).end_array();
  } else {
    json.null();
  }
  write_memory(json, row);
  write_number(json, "rival_step_s", row.rival ? row.rival->step_time.value : 0, row.rival.has_value());
  write_text(json, "refused", row.refused);
  json.key("marks").begin_array();
  if (row.derived) json.value("derived");
  if (row.assumed) json.value("assumed");
  if (predicted && !row.fits()) json.value("does_not_fit");
  json.end_array().end_object();
}

void write_errors(JsonWriter& json, const ErrorSummary& errors) {
  const bool any = errors.n > 0, regrets = errors.ordering.groups > 0, memory = errors.memory_n > 0;
  json.member("n", errors.n).member("refused", errors.refused);
  write_number(json, "median_abs_error", errors.median_abs, any);
  write_number(json, "mean_abs_error", errors.mean_abs, any);
  write_number(json, "p90_abs_error", errors.p90_abs, any);
  write_number(json, "max_abs_error", errors.max_abs, any);
  write_number(json, "bias", errors.bias, any);
  write_number(json, "coverage80", errors.coverage, any);
  json.member("pairs", errors.ordering.pairs);
  write_number(json, "pairs_right", errors.ordering.right_share(), errors.ordering.pairs > 0);
  write_number(json, "regret_mean", errors.ordering.regret_mean(), regrets);
  write_number(json, "regret_max", errors.ordering.regret_max, regrets);
  json.member("memory_n", errors.memory_n);
  write_number(json, "memory_median_abs_error", errors.memory_median_abs, memory);
  write_number(json, "memory_max_abs_error", errors.memory_max_abs, memory);
}

void write_summary(JsonWriter& json, std::string_view key, const calibration::Summary& summary) {
  json.key(key).begin_object();
  write_errors(json, summary.prediction);
  json.key("rival").begin_object();
  write_errors(json, summary.rival);
  json.end_object().end_object();
}

}  // namespace

std::string validation_json(const Validation& validation) {
  JsonWriter json;
  json.begin_object().key("rows").begin_array();
  for (const ValidatedRow& row : validation.rows) write_row(json, row);
  json.end_array();
  write_summary(json, "summary", validation.summary);
  json.key("by").begin_object();
  for (const Validation::Grouping& grouping : validation.groupings) {
    json.key(grouping.key).begin_object();
    for (const auto& [name, summary] : grouping.groups) write_summary(json, name, summary);
    json.end_object();
  }
  json.end_object().key("cross_validation").begin_object();
  for (const calibration::CrossValidation& cross : validation.left_out) {
    json.key(cross.key).begin_object().member("folds", cross.folds).key("predicted_step_s").begin_array();
    for (const ValidatedRow& row : cross.rows) row.is_predicted() ? json.value(row.predicted.value) : json.null();
    json.end_array().end_object();
  }
  json.end_object().end_object();
  return json.text();
}

}  // namespace cli
