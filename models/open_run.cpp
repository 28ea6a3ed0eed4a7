#include "models/open_run.h"

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "models/run_draft.h"

namespace models {
namespace {

using hw::Node;

void refuse_derived(const Node& node) {
  for (const std::string_view key : {"ga", "dp"})
    if (const auto stated = node.find(key)) stated->fail("must not be stated where the layout is left open");
}

void read_fixed_layout(RunDraft& draft) {
  const Node& node = draft.node;
  Layout& layout = draft.run.layout;
  read_node_size(draft);
  layout.gbs = node.at("gbs").positive_int();
  if (const auto lbs = node.find("lbs")) draft.local_batch = lbs->positive_int();
  read_sequence(draft);
}

std::optional<Refusal> place(const RunDraft& draft, Run& run) {
  if (auto refused = refused_stages(run.model, run.layout)) return refused;
  if (auto refused = refused_schedule_size(run.layout)) return refused;
  if (draft.stage_layout.empty()) return place_layers(draft, run);
  try {
    run.layout.chunks = parse_stage_layout(draft.stage_layout, run.model, run.layout.pp * run.layout.vp);
  } catch (const std::invalid_argument& error) {
    return Refusal{"extra/pp_layout", error.what()};
  }
  return {};
}

void set_keys(const LayoutKeys& keys, CpKind stated, Layout& layout) {
  layout.cp_kind = keys.cp_kind.value_or(stated);
  layout.gpus = keys.gpus;
  layout.tp = keys.tp;
  layout.pp = keys.pp;
  layout.vp = keys.vp;
  layout.cp = keys.cp;
  layout.ep = keys.ep;
  layout.etp = keys.etp;
  layout.sp = keys.sp;
  layout.fsdp = keys.fsdp;
  layout.zero = keys.zero;
  layout.schedule = keys.schedule;
  layout.mbs = keys.mbs;
}

/// What other keys of the description say of the layout.
std::optional<Refusal> refused_by_statements(const RunDraft& draft, const LayoutKeys& keys) {
  if (keys.fsdp > 0 && draft.zero && *draft.zero != keys.zero)
    return Refusal{"zero", "must agree with " + draft.zero_from};
  if (draft.schedule && *draft.schedule != keys.schedule)
    return Refusal{"schedule", "must agree with " + draft.schedule_from};
  if (draft.sequence_parallel && *draft.sequence_parallel != keys.sp)
    return Refusal{"sp", "must agree with overlap.tp.sequence_parallel"};
  return {};
}

std::optional<Refusal> refused_flushes(const RunDraft& draft, const Layout& layout) {
  const int per_flush = layout.microbatches / layout.flushes;
  if (draft.flushes_per_step > 0 && draft.flushes_per_step != layout.flushes)
    return Refusal{"overlap/pp/flushes_per_step", "must be gbs/(lbs*dp) = " + std::to_string(layout.flushes)};
  if (draft.microbatches_per_flush > 0 && draft.microbatches_per_flush != per_flush)
    return Refusal{"overlap/pp/microbatches_per_flush", "must be lbs/mbs = " + std::to_string(per_flush)};
  return {};
}

}  // namespace

OpenRun::OpenRun(const Node& node, Library& library) : node_(std::make_shared<const Node>(node)) {
  refuse_derived(*node_);
  RunDraft draft = open_draft(*node_, library, false);
  read_fixed_layout(draft);
  finish_numerics(draft);
  draft_ = std::make_shared<const RunDraft>(std::move(draft));
}

const Run& OpenRun::base() const { return draft_->run; }

std::optional<Refusal> OpenRun::lay_out(const LayoutKeys& keys, Run& run) const {
  Layout& layout = run.layout;
  set_keys(keys, draft_->run.layout.cp_kind, layout);
  if (auto refused = refused_by_statements(*draft_, keys)) return refused;
  if (auto refused = divide_gpus(layout)) return refused;
  if (auto refused = refused_shard_group(layout)) return refused;
  if (auto refused = refused_sharding(layout)) return refused;
  run.traits.distributed_optimizer = layout.zero == Zero::optimizer;
  if (auto refused = refused_schedule(layout)) return refused;
  if (auto refused = refused_tokens(layout)) return refused;
  if (auto refused = divide_batch(layout)) return refused;
  if (auto refused = divide_into_flushes(draft_->local_batch, layout)) return refused;
  if (auto refused = refused_flushes(*draft_, layout)) return refused;
  if (auto refused = refused_by_model(run.model, layout)) return refused;
  if (auto refused = place(*draft_, run)) return refused;
  settle_overlap(*draft_, run);
  return {};
}

}  // namespace models
