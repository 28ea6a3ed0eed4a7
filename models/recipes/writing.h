#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/recipes/mapping.h"
#include "models/run.h"

namespace recipes {

/// A key and what it is set to; null where the framework has it so without the key.
using Settings = std::vector<std::pair<std::string, Value>>;

/// A run on its way to a recipe: what the rules of a table read from and put keys into.
class Writing {
 public:
  /// existing  the recipe that is changed, whose own spellings are kept; nullptr for a new one
  Writing(const Value& run, const Table& table, const Document* existing, models::Library& library);

  const Value* find(std::string_view field) const { return recipes::find(run_, field); }
  bool has(std::string_view field) const { return find(field) != nullptr; }
  std::optional<int> count(std::string_view field) const;
  std::optional<bool> flag(std::string_view field) const;
  std::optional<std::string> word(std::string_view field) const;
  int size(std::string_view field) const { return count(field).value_or(1); }

  /// Sets a key, unless a row or an earlier rule did.
  void put(std::string_view key, Value value);
  bool exists(std::string_view key) const { return existing_ != nullptr && existing_->find(key) != nullptr; }
  bool is_new() const { return existing_ == nullptr; }

  const models::Model* model();
  int gpus_per_node();  ///< 0 where unknown
  const Value& run() const { return run_; }

  Settings finish() && { return std::move(settings_); }

 private:
  void write_rows(std::span<const Row> rows);
  void write_annotations();

  const Value& run_;
  const Table& table_;
  const Document* existing_;
  models::Library& library_;
  Settings settings_;
};

/// The keys that say what a run says.
Settings settings_of(const Value& run, const Table& table, const Document* existing, models::Library& library);

}  // namespace recipes
