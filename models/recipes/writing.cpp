#include "models/recipes/writing.h"

#include <algorithm>
#include <limits>

namespace recipes {

Writing::Writing(const Value& run, const Table& table, const Document* existing, models::Library& library)
    : run_(run), table_(table), existing_(existing), library_(library) {
  write_rows(table.rows);
  for (const Rule& rule : table.rules) rule.write(*this);
  if (table.format != Format::hugging_face) write_annotations();
}

std::optional<int> Writing::count(std::string_view field) const {
  const Value* value = find(field);
  const auto* number = value == nullptr ? nullptr : value->as<std::int64_t>();
  if (number == nullptr || *number < 0 || *number > std::numeric_limits<int>::max()) return std::nullopt;
  return static_cast<int>(*number);
}

std::optional<bool> Writing::flag(std::string_view field) const {
  const Value* value = find(field);
  const auto* flag = value == nullptr ? nullptr : value->as<bool>();
  return flag == nullptr ? std::nullopt : std::optional(*flag);
}

std::optional<std::string> Writing::word(std::string_view field) const {
  const Value* value = find(field);
  const auto* text = value == nullptr ? nullptr : value->as<std::string>();
  return text == nullptr ? std::nullopt : std::optional(*text);
}

void Writing::put(std::string_view key, Value value) {
  const bool is_set = std::any_of(settings_.begin(), settings_.end(), [key](const auto& s) { return s.first == key; });
  if (!is_set) settings_.emplace_back(std::string(key), std::move(value));
}

/// Every spelling of a field that the recipe has already, else the first.
void Writing::write_rows(std::span<const Row> rows) {
  for (auto row = rows.begin(); row != rows.end(); ++row) {
    const Value* value = find(row->field);
    if (value == nullptr) continue;
    const auto same_field = [&row](const Row& other) { return other.field == row->field; };
    const bool any_exists =
        std::any_of(rows.begin(), rows.end(), [&](const Row& r) { return same_field(r) && exists(r.key); });
    const bool is_chosen = any_exists ? exists(row->key) : std::find_if(rows.begin(), rows.end(), same_field) == row;
    if (!is_chosen) continue;
    if (auto word = to_recipe(*row, *value)) put(row->key, *std::move(word));
  }
}

/// What no key of the format says, and what stands in such a line already.
void Writing::write_annotations() {
  for (const Row& row : annotations()) {
    const Value* value = find(row.field);
    if (value == nullptr) continue;
    const auto says = [&row](std::span<const std::string_view> fields) {
      return std::find(fields.begin(), fields.end(), row.field) != fields.end();
    };
    const bool has_row =
        std::any_of(table_.rows.begin(), table_.rows.end(), [&row](const Row& own) { return own.field == row.field; });
    const bool has_rule =
        std::any_of(table_.rules.begin(), table_.rules.end(), [&](const Rule& rule) { return says(rule.fields); });
    const bool is_default = row.field == "/framework" && *value == Value(name(table_.format));
    if (exists(row.key) || (!has_row && !has_rule && !is_default)) put(row.key, *value);
  }
}

const models::Model* Writing::model() {
  const Value* stated = find("/model");
  if (stated == nullptr) return nullptr;
  Value holder;
  set(holder, "/model", *stated);
  return &library_.model(to_node(holder, "run").at("model"));
}

int Writing::gpus_per_node() {
  if (has("/gpus_per_node")) return size("/gpus_per_node");
  const Value* stated = find("/system");
  if (stated == nullptr) return 0;
  Value holder;
  set(holder, "/system", *stated);
  return library_.cluster(to_node(holder, "run").at("system")).gpus_per_node;
}

Settings settings_of(const Value& run, const Table& table, const Document* existing, models::Library& library) {
  return Writing(run, table, existing, library).finish();
}

}  // namespace recipes
