#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hw/node.h"
#include "models/run.h"

namespace search {

/// What conditions speak of: the keys of a layout and what follows from them.
enum class Variable : std::uint8_t {
  gpus,
  tp,
  pp,
  vp,
  cp,
  ep,
  etp,
  dp,
  sp,  ///< 0 or 1
  mbs,
  fsdp,      ///< size of the shard group, 0 = replicated
  replicas,  ///< shard groups whose gradients are summed: dp * cp / fsdp; 1 without fsdp
  zero,
  schedule,  ///< as models::Schedule
  stages,    ///< pp * vp
  microbatches,
  microbatches_mod_pp,
  uneven,           ///< 1: some stage holds more than another, embedding and loss counted where the stack counts them
  tp_cp,            ///< tp * cp
  tp_domains,       ///< NVLink domains that a tensor-parallel group spans
  heads_mod_tp_cp,  ///< 0: the attention heads, query and key-value, can be divided over tp * cp
  cp_kind,          ///< as models::CpKind
};

std::optional<Variable> variable_of(std::string_view name);
std::vector<std::string> variable_names();

std::int64_t value_of(Variable variable, const models::Run& run);

/// One variable lies in a range and, if values are listed, is one of them.
struct Constraint {
  Variable variable = Variable::gpus;
  std::int64_t least = INT64_MIN, most = INT64_MAX;
  std::vector<std::int64_t> values;

  bool holds(std::int64_t value) const;
};

/// All of its constraints hold. `{"tp": 8, "pp": {"min": 2}, "sp": false, "zero": [2, 3], "schedule": "1f1b"}`.
struct Condition {
  std::vector<Constraint> constraints;

  bool holds(const models::Run& run) const;
};

/// Throws hw::InputError.
Condition parse_condition(const hw::Node& node);

/// Where `when` holds, `need` must.
struct Rule {
  Condition when, need;
  std::string origin;  ///< who says so
};

/// `{"when": condition, "need": condition, "origin": "text"}`; without `when`, always. Throws hw::InputError.
Rule parse_rule(const hw::Node& node);

bool allowed(const std::vector<Rule>& rules, const models::Run& run);

}  // namespace search
