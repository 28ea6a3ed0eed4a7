#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "models/layout_rules.h"
#include "models/run_draft.h"

namespace models {
namespace {

using hw::Node;

int size_or_one(const Node& node, std::string_view key) {
  const auto value = node.find(key);
  return value ? value->positive_int() : 1;
}

std::string text(std::int64_t number) { return std::to_string(number); }

void read_sizes(RunDraft& draft) {
  const Node& node = draft.node;
  Layout& layout = draft.run.layout;
  layout.gpus = node.at("gpus").positive_int();
  read_node_size(draft);
  layout.tp = size_or_one(node, "tp");
  layout.pp = size_or_one(node, "pp");
  layout.vp = size_or_one(node, "vp");
  layout.cp = size_or_one(node, "cp");
  layout.ep = size_or_one(node, "ep");
  layout.etp = size_or_one(node, "etp");
  const auto sp = node.find("sp");
  if (sp) layout.sp = sp->boolean();
  if (!draft.sequence_parallel) return;
  if (sp && layout.sp != *draft.sequence_parallel) sp->fail("must agree with overlap.tp.sequence_parallel");
  layout.sp = *draft.sequence_parallel;
}

std::string sizes_text(const Layout& layout) { return text(layout.tp) + "*" + text(layout.cp) + "*" + text(layout.pp); }

void derive_dp(RunDraft& draft) {
  const Node& node = draft.node;
  Layout& layout = draft.run.layout;
  insist(node, divide_gpus(layout));
  const auto stated = node.find("dp");
  if (stated && stated->positive_int() != layout.dp) {
    stated->fail("must be gpus/(tp*cp*pp) = " + text(layout.gpus) + "/(" + sizes_text(layout) +
                 ") = " + text(layout.dp));
  }
}

void shard_by_default(RunDraft& draft) {
  Layout& layout = draft.run.layout;
  const bool wanted = draft.stack.fully_sharded || (draft.zero && *draft.zero >= Zero::gradients);
  layout.fsdp = wanted ? layout.dp * layout.cp : 0;
  if (wanted) draft.assume("fsdp not stated: parameters are sharded over dp*cp = " + text(layout.fsdp) + " GPUs");
}

/// A stage that there is not counts as 3 or 0 of the wrong kind of sharding, which is refused.
Zero zero_stage(const Node& zero, bool sharded) {
  const int stage = zero.non_negative_int();
  if (stage > 3) return sharded ? Zero::ddp : Zero::parameters;
  return static_cast<Zero>(stage);
}

void read_fsdp_zero(const std::optional<Node>& zero, RunDraft& draft) {
  Layout& layout = draft.run.layout;
  if (zero) {
    layout.zero = zero_stage(*zero, true);
    insist(draft.node, refused_sharding(layout));
    if (draft.zero && *draft.zero != layout.zero) zero->fail("must agree with " + draft.zero_from);
    return;
  }
  layout.zero = draft.zero.value_or(draft.stack.fsdp_zero);
  if (!draft.zero) {
    draft.assume(std::string("zero not stated: stage ") + (layout.zero == Zero::gradients ? "2" : "3") + ", as stack " +
                 draft.stack.traits.stack + " does");
  }
}

void read_replicated_zero(const std::optional<Node>& zero, RunDraft& draft) {
  Layout& layout = draft.run.layout;
  if (zero) {
    layout.zero = zero_stage(*zero, false);
    return insist(draft.node, refused_sharding(layout));
  }
  const bool distributed = draft.distributed_optimizer.value_or(draft.run.traits.distributed_optimizer);
  layout.zero = distributed ? Zero::optimizer : Zero::ddp;
  if (!draft.distributed_optimizer) {
    draft.assume("zero not stated: " + std::string(distributed ? "distributed optimizer" : "plain data parallelism") +
                 ", as stack " + draft.stack.traits.stack + " does");
  }
}

void read_sharding(RunDraft& draft) {
  const Node& node = draft.node;
  Layout& layout = draft.run.layout;
  if (const auto fsdp = node.find("fsdp")) {
    layout.fsdp = fsdp->non_negative_int();
    insist(node, refused_shard_group(layout));
  } else {
    shard_by_default(draft);
  }
  const auto zero = node.find("zero");
  if (layout.fsdp > 0) {
    read_fsdp_zero(zero, draft);
  } else {
    read_replicated_zero(zero, draft);
  }
  draft.run.traits.distributed_optimizer = layout.zero == Zero::optimizer;
}

void read_schedule(RunDraft& draft) {
  const Node& node = draft.node;
  Layout& layout = draft.run.layout;
  if (const auto stated = node.find("schedule")) {
    const auto schedule = schedule_of(stated->text());
    if (!schedule) stated->fail("must be one of 1f1b, interleaved, gpipe, zb-1p, zb-2p, zb-v");
    if (draft.schedule && *draft.schedule != *schedule) stated->fail("must agree with " + draft.schedule_from);
    draft.schedule = schedule;
    draft.half_memory_schedule |= stated->text().ends_with('*');
  }
  layout.schedule = draft.schedule.value_or(layout.vp > 1 ? Schedule::interleaved : Schedule::one_f_one_b);
  insist(node, refused_schedule(layout));
  if (draft.half_memory_schedule) {
    draft.assume("schedule ZB-2p* is laid out as zb-2p; its memory limit (half of ZB-2p's) follows from the batch");
  }
}

/// Samples per pipeline flush: as stated, or from AutoModel's printed GA, or one flush a step.
void read_flushes(RunDraft& draft) {
  const Node& node = draft.node;
  Layout& layout = draft.run.layout;
  const auto stated = node.find("lbs");
  const int per_rank = layout.gbs / layout.dp;
  int local = draft.local_batch;
  if (stated) {
    local = stated->positive_int();
    if (draft.local_batch > 0 && draft.local_batch != local)
      stated->fail("must agree with overlap.pp.local_batch_size");
  }
  const auto ga = node.find("ga");
  if (local == 0 && layout.pp > 1 && draft.run.traits.flush_per_local_batch) {
    const int rounds = ga ? ga->positive_int() : 1;
    const bool fits = per_rank % rounds == 0 && (per_rank / rounds) % layout.mbs == 0;
    local = fits ? per_rank / rounds : per_rank;
    const bool one_flush = local == per_rank || rounds == layout.microbatches;
    if (one_flush) local = per_rank;
    draft.assume("lbs not stated: " + text(local) + " sequences per pipeline flush");
  }
  const auto refused = divide_into_flushes(local, layout);
  if (refused) refuse(node, stated ? "lbs" : "overlap", refused->rule);
  draft.local_batch = local;
}

void check_accumulation(RunDraft& draft) {
  const Layout& layout = draft.run.layout;
  const auto ga = draft.node.find("ga");
  if (!ga) return;
  const int stated = ga->positive_int();
  const bool printed_by_automodel = draft.local_batch > 0 && stated == layout.gbs / layout.dp / draft.local_batch;
  if (stated == layout.microbatches || printed_by_automodel) return;
  ga->fail("must be gbs/(mbs*dp) = " + text(layout.gbs) + "/(" + text(layout.mbs) + "*" + text(layout.dp) +
           ") = " + text(layout.microbatches));
}

void check_flushes(const RunDraft& draft) {
  const Layout& layout = draft.run.layout;
  const int per_flush = layout.microbatches / layout.flushes;
  if (draft.flushes_per_step > 0 && draft.flushes_per_step != layout.flushes) {
    draft.node.at("overlap").at("pp").at("flushes_per_step").fail("must be gbs/(lbs*dp) = " + text(layout.flushes));
  }
  if (draft.microbatches_per_flush > 0 && draft.microbatches_per_flush != per_flush) {
    draft.node.at("overlap").at("pp").at("microbatches_per_flush").fail("must be lbs/mbs = " + text(per_flush));
  }
}

void read_batch(RunDraft& draft) {
  const Node& node = draft.node;
  Layout& layout = draft.run.layout;
  layout.gbs = node.at("gbs").positive_int();
  layout.mbs = node.at("mbs").positive_int();
  layout.seq_len = node.at("seq_len").positive_int64();
  insist(node, refused_tokens(layout));
  read_sequence(draft);
  insist(node, divide_batch(layout));
  read_flushes(draft);
  check_accumulation(draft);
  check_flushes(draft);
}

void place_stated(RunDraft& draft) {
  const Node where = draft.node.at("extra").at("pp_layout");
  Run& run = draft.run;
  try {
    run.layout.chunks = parse_stage_layout(draft.stage_layout, run.model, run.layout.pp * run.layout.vp);
  } catch (const std::invalid_argument& error) {
    where.fail(error.what());
  }
  if (run.model.mtp.depth == 0 && draft.stage_layout.find('m') != std::string::npos) {
    draft.assume("the stage layout lists an m, but model " + run.model.name + " has no MTP: left empty");
  }
}

void say_placement(RunDraft& draft) {
  const Layout& layout = draft.run.layout;
  const int layers = static_cast<int>(draft.run.model.layers.size()), stages = layout.pp * layout.vp;
  if (layers % stages == 0) return;
  draft.assume(draft.run.traits.count_ends_in_split
                   ? "stage layout not stated: embedding and loss count as one layer each"
                   : "stage layout not stated: the first " + text(layers % stages) + " of " + text(stages) +
                         " stages hold one layer more");
}

}  // namespace

void read_node_size(RunDraft& draft) {
  const Node& node = draft.node;
  Layout& layout = draft.run.layout;
  const hw::Cluster& cluster = draft.run.cluster;
  const int most = std::max(cluster.gpus_per_node, cluster.nvlink_domain);
  layout.gpus_per_node = cluster.gpus_per_node;
  if (const auto per_node = node.find("gpus_per_node")) {
    layout.gpus_per_node = per_node->positive_int();
    if (layout.gpus_per_node > most) per_node->fail("must be at most " + text(most) + " on system " + cluster.name);
  }
}

/// A model with learned positions is built with as many as the run needs.
void read_sequence(RunDraft& draft) {
  Model& model = draft.run.model;
  const std::int64_t seq_len = draft.run.layout.seq_len = draft.node.at("seq_len").positive_int64();
  if (model.position != Position::learned || seq_len <= model.learned_positions) return;
  draft.assume("the table of " + text(model.learned_positions) + " learned positions grows to seq_len");
  model.learned_positions = seq_len;
}

void read_layout(RunDraft& draft) {
  read_sizes(draft);
  derive_dp(draft);
  read_sharding(draft);
  read_schedule(draft);
  read_batch(draft);
}

void place_stages(RunDraft& draft) {
  insist(draft.node, refused_stages(draft.run.model, draft.run.layout));
  insist(draft.node, refused_schedule_size(draft.run.layout));
  if (!draft.stage_layout.empty()) return place_stated(draft);
  insist(draft.node, place_layers(draft, draft.run));
  if (!draft.count_embedding && !draft.count_loss) say_placement(draft);
}

}  // namespace models
