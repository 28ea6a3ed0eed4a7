#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hw/efficiency.h"
#include "hw/node.h"
#include "hw/units.h"
#include "models/layout.h"
#include "models/run.h"
#include "search/condition.h"
#include "search/framework.h"

namespace search {

/// What is best. All but `memory` fall with the step time; they differ where the number of GPUs is free.
enum class Objective { step_time, tokens_per_s_per_gpu, cost, energy, memory };
const char* name(Objective objective);

/// Size of the group that parameters are sharded over.
struct ShardGroup {
  enum class Kind { fixed, all, node } kind = Kind::fixed;  ///< `all`: dp * cp; `node`: what of it lies in one node
  int size = 0;
};

/// Values to try of each key of a layout; absent: all that are legal.
struct Dimensions {
  std::optional<std::vector<int>> tp, pp, vp, cp, ep, etp, mbs;
  std::vector<bool> sp;
  std::vector<ShardGroup> fsdp;
  std::vector<models::Zero> zero;
  std::vector<models::Schedule> schedule;
  std::vector<models::CpKind> cp_kind;  ///< none: as the stack has it
};

/// So many tokens within so many days.
struct Goal {
  double tokens = 0, days = 0;
};

/// A part of the space, for several machines: every `of`-th group of layouts, from `index` on.
struct Shard {
  int index = 1, of = 1;
};

/// A question about layouts, checked (docs/search.md).
struct Query {
  hw::Node description;            ///< what was asked
  std::vector<hw::Node> settings;  ///< run descriptions with all but the layout, one for each combination of the rest
  std::vector<int> gpus;
  Dimensions dimensions;
  std::vector<Condition> forbidden;
  Framework framework;
  Objective objective = Objective::step_time;
  std::optional<Goal> goal = {};
  bool fewest_gpus = false;                  ///< first of all, whatever the objective
  std::map<std::string, double> price = {};  ///< of a GPU and hour, by system; `` is that of all others
  double memory_margin = 0;                  ///< of the GPU's memory
  int top = 0, rerank = 0;                   ///< layouts shown; layouts that are ranked again by events
  bool balance_stages = false;               ///< of the latter, layers are placed where they balance the stages best

  // How it is answered, not what is asked
  std::optional<hw::Seconds> count_faster_than = {};  ///< layouts with a shorter step are counted, none of them pruned
  bool prune = true;
  Shard shard = {};
};

/// Reads a query: a run description without its layout, and `space`, `pin`, `forbid`, `objective`, `goal`,
/// `price_per_gpu_hour`, `memory_margin`, `top`, `rerank`. Throws hw::InputError.
Query parse_query(const hw::Node& node, models::Library& library);

}  // namespace search
