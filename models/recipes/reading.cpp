#include "models/recipes/reading.h"

#include <algorithm>
#include <array>

#include "hw/error_text.h"
#include "hw/input_error.h"
#include "models/recipes/differences.h"
#include "models/recipes/located_error.h"

namespace recipes {
namespace {

bool matches(std::string_view pattern, std::string_view key) {
  if (pattern.ends_with('*')) return key.starts_with(pattern.substr(0, pattern.size() - 1));
  return key == pattern;
}

/// What the caller gave for a field, or for an object that it would lie in.
const Value* overriding(const Value& overrides, std::string_view field) {
  for (std::size_t end = field.find('/', 1); end != std::string_view::npos; end = field.find('/', end + 1)) {
    const Value* outer = find(overrides, field.substr(0, end));
    if (outer != nullptr && outer->as<Value::Object>() == nullptr) return outer;
  }
  return find(overrides, field);
}

constexpr std::array kNeeded = {"model", "system", "gpus", "precision", "seq_len", "gbs", "mbs"};

}  // namespace

void apply(const Overrides& overrides, Value& run) {
  for (const auto& [field, value] : overrides) {
    try {
      set(run, pointer_of(field), value);
    } catch (const std::bad_variant_access&) {
      throw hw::InputError("--set: " + hw::printable(field) + ": must not lie in a value");
    }
  }
}

Reading::Reading(const Document& document, const Table& table, const Overrides& overrides, models::Library& library)
    : document_(document), table_(table), library_(library) {
  apply(overrides, overrides_);
  for (const auto& [field, value] : leaves(overrides_)) set(run_, field, value);
  if (table.format != Format::hugging_face) read_rows(annotations());
  if (table.format != Format::hugging_face) follow("/framework", name(table.format));
  read_rows(table.rows);
  for (const Rule& rule : table.rules) rule.read(*this);
  if (table.format != Format::hugging_face) assume("/task", "pretrain", "for nothing of fine-tuning is stated");
}

void Reading::read_rows(std::span<const Row> rows) {
  for (const Row& row : rows) {
    const Entry* entry = take(row.key, row.field);
    if (entry == nullptr) continue;
    if (auto value = recipes::to_run(row, document_, *entry)) state(row.field, *std::move(value), *entry);
  }
}

const Entry* Reading::take(std::string_view key, std::string_view field) {
  const Entry* entry = document_.find(key);
  if (entry == nullptr) return nullptr;
  if (understood_entries_.insert(entry).second)
    understood_.push_back(
        {entry->line, entry->key, entry->shown.empty() ? json(entry->value) : entry->shown, dotted(field)});
  return entry;
}

std::optional<int> Reading::count(std::string_view key, std::string_view field) {
  const Entry* entry = take(key, field);
  if (entry == nullptr || entry->value.is_null() || entry->value == Value("none")) return std::nullopt;
  return static_cast<int>(*recipes::to_run({key, field, Kind::count}, document_, *entry)->as<std::int64_t>());
}

std::optional<bool> Reading::flag(std::string_view key, std::string_view field) {
  const Entry* entry = take(key, field);
  if (entry == nullptr || entry->value.is_null()) return std::nullopt;
  return *recipes::to_run({key, field, Kind::flag}, document_, *entry)->as<bool>();
}

std::optional<std::string> Reading::text(std::string_view key, std::string_view field) {
  const Entry* entry = take(key, field);
  if (entry == nullptr || entry->value.is_null()) return std::nullopt;
  return *recipes::to_run({key, field, Kind::text}, document_, *entry)->as<std::string>();
}

void Reading::pass_over(std::string_view key, const std::string& why) {
  const Entry* entry = document_.find(key);
  if (entry != nullptr && understood_entries_.insert(entry).second) ignore(*entry, why);
}

int Reading::size(std::string_view field) const {
  const Value* value = find(field);
  const auto* number = value == nullptr ? nullptr : value->as<std::int64_t>();
  return number != nullptr && *number > 0 ? static_cast<int>(std::min<std::int64_t>(*number, 1 << 30)) : 1;
}

std::optional<std::string> Reading::word(std::string_view field) const {
  const Value* value = find(field);
  const auto* text = value == nullptr ? nullptr : value->as<std::string>();
  return text == nullptr ? std::nullopt : std::optional(*text);
}

void Reading::state(std::string_view field, Value value, const Entry& from) {
  if (const Value* given = overriding(overrides_, field)) {
    if (*given != value) ignore(from, "overridden: " + dotted(field) + " was given apart");
    return;
  }
  const auto [known, is_first] = stated_by_.emplace(std::string(field), &from);
  if (!is_first && *find(field) != value) {
    document_.refuse(from, "must agree with " + known->second->key + " on line " + std::to_string(known->second->line) +
                               " (" + hw::shortened(json(*find(field))) + ")");
  }
  set(run_, field, std::move(value));
}

void Reading::follow(std::string_view field, Value value) {
  if (!has(field) && overriding(overrides_, field) == nullptr) set(run_, field, std::move(value));
}

void Reading::assume(std::string_view field, Value value, const std::string& why) {
  if (has(field) || overriding(overrides_, field) != nullptr) return;
  assumed_.push_back(dotted(field) + ": " + json(value) + ", " + why);
  set(run_, field, std::move(value));
}

const models::Model* Reading::model() {
  const Value* stated = find("/model");
  if (stated == nullptr) return nullptr;
  Value holder;
  set(holder, "/model", *stated);
  try {
    return &library_.model(to_node(holder, document_.file).at("model"));
  } catch (const hw::InputError& error) {
    throw hw::InputError(located_error(error.what(), document_.file, understood_));
  }
}

const hw::Cluster* Reading::cluster() {
  const Value* stated = find("/system");
  if (stated == nullptr) return nullptr;
  Value holder;
  set(holder, "/system", *stated);
  try {
    return &library_.cluster(to_node(holder, document_.file).at("system"));
  } catch (const hw::InputError& error) {
    throw hw::InputError(located_error(error.what(), document_.file, understood_));
  }
}

int Reading::gpus_per_node() {
  if (has("/gpus_per_node")) return size("/gpus_per_node");
  const hw::Cluster* machine = cluster();
  return machine == nullptr ? 0 : machine->gpus_per_node;
}

void Reading::ignore(const Entry& entry, std::string why) {
  ignored_.push_back({entry.line, entry.key, std::move(why)});
}

void Reading::ignore_rest() {
  for (const Entry& entry : document_.entries) {
    if (understood_entries_.contains(&entry)) continue;
    const Entry* counted = document_.find(entry.key);
    const auto known = std::find_if(table_.harmless.begin(), table_.harmless.end(),
                                    [&](const Harmless& h) { return matches(h.key, entry.key); });
    if (!entry.reachable) {
      ignore(entry, "not understood: only set under a condition");
    } else if (counted != &entry && understood_entries_.contains(counted)) {
      ignore(entry, "set again on line " + std::to_string(counted->line));
    } else if (known != table_.harmless.end() && known->what == kOfModel) {
      ignore(entry, "a size of the model, which is named apart");
    } else if (known != table_.harmless.end()) {
      ignore(entry, "does not change a step's time: " + std::string(known->what));
    } else {
      ignore(entry, "not understood");
    }
  }
  for (const Aside& aside : document_.asides) ignored_.push_back({aside.line, hw::shortened(aside.text), aside.why});
  std::stable_sort(ignored_.begin(), ignored_.end(), [](const auto& a, const auto& b) { return a.line < b.line; });
}

Imported Reading::finish() && {
  ignore_rest();
  std::stable_sort(understood_.begin(), understood_.end(),
                   [](const auto& a, const auto& b) { return a.line < b.line; });
  std::vector<std::string> missing;
  for (const char* field : kNeeded) {
    if (!has(std::string("/") + field)) missing.emplace_back(field);
  }
  if (run_.is_null()) run_ = Value::Object{};
  return {.run = to_node(run_, document_.file),
          .format = table_.format,
          .understood = std::move(understood_),
          .ignored = std::move(ignored_),
          .assumed = std::move(assumed_),
          .missing = std::move(missing)};
}

int data_parallel(const Value& run) {
  const auto size = [&run](std::string_view field, std::int64_t otherwise) {
    const Value* value = find(run, field);
    const auto* number = value == nullptr ? nullptr : value->as<std::int64_t>();
    return number != nullptr && *number > 0 ? *number : otherwise;
  };
  std::int64_t rest = size("/gpus", 0);
  for (const char* field : {"/tp", "/cp", "/pp"}) {
    if (rest % size(field, 1) != 0) return 0;
    rest /= size(field, 1);
  }
  return static_cast<int>(rest);
}

}  // namespace recipes
