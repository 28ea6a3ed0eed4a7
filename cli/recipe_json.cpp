#include "cli/json_writer.h"
#include "cli/recipe.h"
#include "cli/recipe_input.h"

namespace cli {
namespace {

/// A part of a description, as it is there.
void write_value(const recipes::Value& value, JsonWriter& json) {
  if (const auto* flag = value.as<bool>()) {
    json.value(*flag);
  } else if (const auto* integer = value.as<std::int64_t>()) {
    json.value(static_cast<double>(*integer));
  } else if (const auto* number = value.as<double>()) {
    json.value(*number);
  } else if (const auto* text = value.as<std::string>()) {
    json.value(*text);
  } else if (const auto* list = value.as<recipes::Value::List>()) {
    json.begin_array();
    for (const recipes::Value& element : *list) write_value(element, json);
    json.end_array();
  } else if (const auto* members = value.as<recipes::Value::Object>()) {
    json.begin_object();
    for (const auto& [key, inner] : *members) {
      json.key(key);
      write_value(inner, json);
    }
    json.end_object();
  } else {
    json.null();
  }
}

void write_keys(const recipes::Imported& imported, JsonWriter& json) {
  json.key("understood").begin_array();
  for (const recipes::Understood& key : imported.understood) {
    json.begin_object().member("line", key.line).member("key", key.key).member("value", key.value);
    json.member("field", key.field).end_object();
  }
  json.end_array().key("ignored").begin_array();
  for (const recipes::Ignored& key : imported.ignored) {
    json.begin_object().member("line", key.line).member("key", key.key).member("why", key.why).end_object();
  }
  json.end_array();
}

}  // namespace

std::string recipe_json(const recipes::Imported& imported, const models::Run* run) {
  JsonWriter json;
  json.begin_object().member("format", format_name(imported)).key("run");
  write_value(recipes::from_node(imported.run), json);
  write_keys(imported, json);
  json.texts("assumed", imported.assumed);
  json.texts("missing", imported.missing);
  json.texts("not_understood", run == nullptr ? std::vector<std::string>{} : run->not_understood);
  return json.end_object().text();
}

}  // namespace cli
