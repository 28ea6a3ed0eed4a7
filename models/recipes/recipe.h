#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hw/node.h"
#include "models/recipes/document.h"
#include "models/recipes/format.h"
#include "models/recipes/value.h"
#include "models/run.h"

/// Recipes of training frameworks, read into run descriptions (docs/runs.md) and written from them: docs/recipes.md.
namespace recipes {

/// A recipe, taken apart but not yet understood.
struct Recipe {
  Format format = Format::megatron_bridge;
  Document document;
};

/// What the caller states about the run, above what the recipe says: fields of a run description, by name or by JSON
/// pointer (`gpus`, `/overlap/pp_p2p`).
using Overrides = std::vector<std::pair<std::string, Value>>;

struct Understood {
  int line = 0;
  std::string key, value;  ///< as the recipe has them
  std::string field;       ///< of the run, dotted
};

struct Ignored {
  int line = 0;
  std::string key, why;
};

struct Imported {
  hw::Node run;                  ///< a run description
  std::optional<Format> format;  ///< absent: it was one
  std::vector<Understood> understood = {};
  std::vector<Ignored> ignored = {};
  std::vector<std::string> assumed = {};
  std::vector<std::string> missing = {};  ///< fields that a description needs and the recipe does not state
};

/// A run in the words of a framework.
struct Written {
  std::string text;
  std::vector<std::string> left_out;  ///< fields without a word there, none of which changes a step's time
};

/// Takes a recipe apart; the format is told from the text where it is not stated. Throws hw::InputError with file and
/// line.
Recipe read_recipe(std::string_view text, const std::string& file, std::optional<Format> format = std::nullopt);

/// The run that a recipe describes. Throws hw::InputError with file, line, key, rule and value.
Imported to_run(const Recipe& recipe, const Overrides& overrides, models::Library& library);

/// Puts the overrides into a run description. Throws hw::InputError where one would lie in a value that is no object.
void apply(const Overrides& overrides, Value& run);

/// The run, parsed. Throws hw::InputError, with the line and the key of the recipe that stated what is refused.
models::Run checked_run(const Imported& imported, models::Library& library);

/// A new recipe of the run. Throws hw::InputError where the format cannot say something that changes the step.
Written write(Format format, const hw::Node& run, models::Library& library);

/// The run as another framework would have it: model, machine, layout, batch, precision and recompute stay, the
/// settings of its own framework go. Says which in `dropped`.
hw::Node in_framework(Format format, const hw::Node& run, std::vector<std::string>& dropped);

/// The recipe's own text with those keys changed that say what differs between two runs; all else stays, byte by byte.
/// Throws hw::InputError where a change cannot be said in the format, or at that place of the text.
///   before  the run that the recipe describes, as to_run() with `overrides` gives it
std::string with_changes(const Recipe& recipe, const hw::Node& before, const hw::Node& after,
                         const Overrides& overrides, models::Library& library);

}  // namespace recipes
