#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hw/node.h"
#include "models/layout_rules.h"
#include "models/run.h"

/// Parts of parse_run, not for other users: each reads its keys of one run description into a draft.
namespace models {

/// A run while it is read: what was stated and decides something later.
struct RunDraft {
  RunDraft(const hw::Node& run_node, const Stack& run_stack) : node(run_node), stack(run_stack) {}

  const hw::Node& node;  ///< the whole description
  const Stack& stack;
  Run run;

  std::optional<Zero> zero;  ///< sharding that `overlap` or `extra` state
  std::string zero_from;     ///< pointer of the key that did
  std::optional<bool> distributed_optimizer;
  std::optional<bool> quantised_gather;
  std::optional<Schedule> schedule;
  std::string schedule_from;
  std::optional<bool> sequence_parallel;
  bool half_memory_schedule = false;  ///< `ZB-2p*`
  int local_batch = 0;
  int microbatches_per_flush = 0, flushes_per_step = 0;
  std::string stage_layout;
  bool count_embedding = false, count_loss = false;
  bool tp_overlap_stated = false, optimizer_overlap_stated = false, p2p_overlap_stated = false;
  std::optional<bool> has_fsdp_mixin;    ///< the same key as stated; absent: dense models, which lack it
  std::optional<bool> defers_reduction;  ///< AutoModel's defer_grad_sync
  bool drops_tokens = false;
  bool replays_block_by_default = false;  ///< extra.activation_checkpointing
  bool reduce_dtype_stated = false, grad_dtype_stated = false, param_dtype_stated = false;

  void assume(std::string what) { run.assumed.push_back(std::move(what)); }
  /// Lists a key that nothing reads, or a value that no key knows, as `moe.dispatcher = mok`.
  void not_understood(const hw::Node& key);
  void not_understood_value(const hw::Node& value);
};

/// One understood key of an open object: sets a trait, or is read by a function, or (neither) states something that
/// follows from the rest or has no term in the model.
struct OpenKey {
  std::string_view name;
  bool Traits::*trait = nullptr;
  void (*read)(const hw::Node& value, RunDraft& draft) = nullptr;
};

/// Reads an open object: known keys by the table, others into not_understood. Null values are skipped.
void read_open_object(const hw::Node& object, std::span<const OpenKey> known, RunDraft& draft);

// run_overlap.cpp, run_moe.cpp, run_optimizer.cpp, run_extra.cpp, run_recompute.cpp
void read_overlap(const hw::Node& overlap, RunDraft& draft);
void read_moe(const hw::Node& moe, RunDraft& draft);
void read_optimizer(const hw::Node& optimizer, RunDraft& draft);
void read_extra(const hw::Node& extra, RunDraft& draft);
void read_lora(const hw::Node& lora, RunDraft& draft);  ///< of `optimizer` or `extra`
void read_recompute(RunDraft& draft);
void read_cuda_graph(RunDraft& draft);

// run.cpp
/// All of a description but its layout. `node` must outlive the draft.
RunDraft open_draft(const hw::Node& node, Library& library, bool with_measured);
void finish_numerics(RunDraft& draft);  ///< what follows from the formats that several keys state
/// Overlaps that a stack, or a run, turns on only where the layout has something to overlap.
void settle_overlap(const RunDraft& draft, Run& run);

// run_layout.cpp: sizes, batch, sharding, schedule, stages; run_checks.cpp: whether the model and the system allow them
void read_layout(RunDraft& draft);
void read_node_size(RunDraft& draft);
void read_sequence(RunDraft& draft);
void place_stages(RunDraft& draft);
void check_layout(const RunDraft& draft);

// place_layers.cpp: where a run's layers lie that states no layout of its stages
/// Places the layers of `run` as the draft says; sets Traits::count_ends_in_split.
std::optional<Refusal> place_layers(const RunDraft& draft, Run& run);

// run_measured.cpp
Measured read_measured(const hw::Node& measured);

/// Value of a number format as runs spell it (`bf16`, `fp32`, also `fp32 (TE default)`), if it is one.
std::optional<hw::DType> dtype_of(const std::string& text);

/// A schedule as any framework spells it (`1F1B-I`, `interleaved1f1b`, `ZB-2p*`), if it is one.
std::optional<Schedule> schedule_of(const std::string& text);

/// Sets the sharding that one of several keys states; refuses two that differ.
void state_zero(const hw::Node& key, Zero zero, RunDraft& draft);

/// Refuses the value of `key`, or that it is not given.
[[noreturn]] void refuse(const hw::Node& node, std::string_view key, const std::string& rule);
void insist(const hw::Node& node, const std::optional<Refusal>& refused);  ///< refuses if there is a refusal

}  // namespace models
