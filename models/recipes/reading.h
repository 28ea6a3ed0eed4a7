#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "models/recipes/mapping.h"
#include "models/recipes/recipe.h"
#include "models/run.h"

namespace recipes {

/// A recipe on its way to a run: what the rules of a table read from and state into.
class Reading {
 public:
  Reading(const Document& document, const Table& table, const Overrides& overrides, models::Library& library);

  /// The entry of a key, which then counts as understood for `field`; nothing where the recipe does not have it.
  const Entry* take(std::string_view key, std::string_view field);
  std::optional<int> count(std::string_view key, std::string_view field);
  std::optional<bool> flag(std::string_view key, std::string_view field);
  std::optional<std::string> text(std::string_view key, std::string_view field);

  /// Lists a key as one that says nothing here.
  void pass_over(std::string_view key, const std::string& why);

  /// What the run says so far.
  const Value* find(std::string_view field) const { return recipes::find(run_, field); }
  int size(std::string_view field) const;  ///< 1 where it is not stated
  std::optional<std::string> word(std::string_view field) const;
  bool has(std::string_view field) const { return find(field) != nullptr; }

  /// States a field. A flag of the caller has the last word; two keys that differ are refused.
  void state(std::string_view field, Value value, const Entry& from);
  /// States a field that no key states, unless one did.
  void follow(std::string_view field, Value value);
  void assume(std::string_view field, Value value, const std::string& why);

  /// As far as the run names them; nullptr else.
  const models::Model* model();
  const hw::Cluster* cluster();
  int gpus_per_node();  ///< 0 where unknown

  const Document& document() const { return document_; }
  Imported finish() &&;

 private:
  void read_rows(std::span<const Row> rows);
  void ignore(const Entry& entry, std::string why);
  void ignore_rest();

  const Document& document_;
  const Table& table_;
  models::Library& library_;
  Value run_, overrides_;
  std::map<std::string, const Entry*, std::less<>> stated_by_;
  std::set<const Entry*> understood_entries_;
  std::vector<Understood> understood_;
  std::vector<Ignored> ignored_;
  std::vector<std::string> assumed_;
};

/// gpus/(tp*cp*pp); 0 where that is not known or no integer.
int data_parallel(const Value& run);

}  // namespace recipes
