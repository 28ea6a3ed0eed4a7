#pragma once

#include <string>
#include <vector>

#include "hw/node.h"
#include "models/layout.h"

namespace search {

/// How a framework is told where layers lie.
struct StageForm {
  enum class Kind { none, string, modules } kind = Kind::none;
  std::string key;  ///< of the framework's own configuration
  std::string layer;
  std::vector<std::string> embedding, loss, every;  ///< modules of the ends, and those that every stage has
  std::string origin;                               ///< who says so
};

/// `{"form": "string" | "modules" | "none", "key": text, ..., "origin": text}`. Throws hw::InputError.
StageForm parse_stage_form(const hw::Node& node);

/// What stands behind the key: `Et*4|(t*4|)*14tmL` or a list of modules a stage as JSON. Empty where the framework has
/// no word for it: Kind::none, or module lists of a model with multi-token prediction.
std::string stage_setting(const StageForm& form, const std::vector<models::StageChunk>& chunks);

}  // namespace search
