#pragma once

#include <optional>
#include <string>

#include "hw/node.h"
#include "models/layout.h"
#include "models/model_flops.h"
#include "models/numerics.h"
#include "models/recipe.h"

namespace models {

/// How a stack spreads layers that the pipeline does not divide, where the run gives no layout.
enum class StageSplit {
  even,      ///< layers / stages each, the first ones one more (AutoModel)
  megatron,  ///< embedding and loss count as a layer each if that divides, else even
};

/// A software stack at one release: what it does where a run does not say (docs/stacks.md).
struct Stack {
  Traits traits;
  FlopsConvention flops = FlopsConvention::causal;
  Precision fp8 = Precision::fp8_cs;  ///< what `fp8` without a recipe means here
  bool fully_sharded = false;         ///< `fsdp` not stated: parameters are sharded over dp*cp
  Zero fsdp_zero = Zero::parameters;  ///< `zero` not stated with `fsdp` > 0
  CpKind cp_kind = CpKind::ring;
  std::optional<Dispatcher> wide_dispatcher;  ///< of NVLink domains wider than a node
  StageSplit stage_split = StageSplit::even;
  std::optional<RecomputeMode> recompute;  ///< absent: the stack states none
  bool grads_in_reduce_dtype = false;      ///< gradients accumulate in the type they are reduced in (Megatron DDP)
  bool graphs_moe = false;        ///< `cuda_graph` not stated, experts, Blackwell: attention and routing captured
  bool quantised_gather = false;  ///< fp8 and mxfp8 weights are gathered quantised
  std::string assumed_release;    ///< set if the run states no release and the stack names one to take
};

/// Reads configs/stacks/NAME.json and applies what its `releases` say of `release` (empty: the stack's
/// `release_if_absent`, else the newest). Throws InputError; unknown keys are refused.
Stack parse_stack(const hw::Node& node, const std::string& release);

/// True if `release` is `from` or later. Both are read as their first run of dotted numbers (`26.04.01`,
/// `nemo-automodel:26.06 + main`, `26.08.rc5`), compared number by number; false if `release` has none.
bool release_at_least(const std::string& release, const std::string& from);

}  // namespace models
