#pragma once

#include <string>
#include <vector>

#include "hw/node.h"
#include "models/recipes/value.h"
#include "models/run.h"

namespace tuning {

/// What the caller says of the space around a recipe.
struct Bounds {
  recipes::Value::Object pin;          ///< one value each of dimensions (docs/search.md)
  recipes::Value::Object space;        ///< values to try of dimensions, in place of the framework's
  std::vector<recipes::Value> forbid;  ///< conditions
  int rerank = 0;                      ///< layouts that are predicted by events
};

/// The query for layouts of a run: all that `run` says about model, machine, batch and numerics stays; how it is laid
/// out and what it recomputes is free, as far as its framework's description (configs/frameworks) goes. What the run
/// recomputes now is among what is tried, and so is overlap that it turns off. Throws hw::InputError.
hw::Node query_around(const recipes::Value& run, const Bounds& bounds, const std::string& file,
                      models::Library& library);

}  // namespace tuning
