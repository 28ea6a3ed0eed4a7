#include <algorithm>
#include <string_view>
#include <vector>

#include "models/lower_layout.h"

namespace models {
namespace {

struct Replication {
  GroupKind group;
  bool sharded;   ///< parameters (FSDP) or optimizer states (ZeRO-1) are divided over the group
  bool replicas;  ///< HSDP: several shard groups whose gradients are summed besides
};

void add(std::vector<Op>& ops, const char* name, CollectiveKind kind, GroupKind group, double bytes) {
  if (bytes <= 0) return;
  ops.push_back({.name = name,
                 .work = Collective{.kind = kind, .group = group, .payload = {bytes}},
                 .stream = Stream::dp_comm,
                 .module = Module::data_parallel,
                 .host_ops = 1,
                 .reads = {},
                 .writes = {},
                 .needs = {}});
}

void add_collectives(Block& block, const StepProgram& program, const Replication& over, double parameters,
                     double trained) {
  const int members = program.group(over.group).size;
  const double gathered = parameters * hw::bytes_per_element(program.traits.param_gather_dtype);
  const double reduced = trained * hw::bytes_per_element(program.traits.grad_reduce_dtype);
  if (members > 1) {
    if (over.sharded) {
      // ZeRO-1 gathers what the optimizer changed; FSDP gathers everything.
      const bool fsdp = program.layout.fsdp > 0;
      add(block.gather, "param_all_gather", CollectiveKind::all_gather, over.group,
          fsdp ? gathered : trained * hw::bytes_per_element(program.traits.param_gather_dtype));
      add(block.reduce, "grad_reduce_scatter", CollectiveKind::reduce_scatter, over.group, reduced);
    } else {
      add(block.reduce, "grad_all_reduce", CollectiveKind::all_reduce, over.group, reduced);
    }
  }
  if (over.replicas && program.group(GroupKind::replica).size > 1)
    add(block.reduce, "replica_all_reduce", CollectiveKind::all_reduce, GroupKind::replica, reduced / members);
}

DataParallel timing(const Run& run) {
  const Layout& l = run.layout;
  const Traits& t = run.traits;
  DataParallel when{
      .gather_overlap = t.dp_gather_overlap, .reduce_overlap = t.dp_reduce_overlap, .prefetch = t.fsdp_prefetch};
  if (l.fsdp == 0) {
    when.reduce = When::once_a_step;
    when.gather = l.zero == Zero::optimizer ? When::once_a_step : When::never;
    return when;
  }
  when.reduce = t.fsdp_defer_reduce ? When::once_a_step : When::every_microbatch;
  if (t.fsdp_once_per_step) {
    when.gather = When::once_a_step;
  } else {
    // In a pipeline, microbatches are under way at any time: what is kept from forward to backward is kept throughout
    // (torch.distributed.pipelining reshards after the last backward).
    const When kept = l.pp > 1 ? When::once_a_step : When::every_microbatch;
    when.gather = l.zero == Zero::parameters ? When::every_pass : kept;
  }
  when.gather_overlap = when.reduce_overlap = true;
  return when;
}

/// The block whose weight of that full name others use.
Block* owner_of(StepProgram& program, std::string_view weight) {
  const BlockKind kind = weight == kEmbeddingTable ? BlockKind::embedding : BlockKind::head;
  for (Block& block : program.blocks)
    if (block.kind == kind) return &block;
  return nullptr;
}

/// FSDP gathers groups whole: a block that uses a weight of another block's group gathers that group too, and reduces
/// its gradient again where that block has run backward before, as the head has before multi-token prediction.
void share_gathered(StepProgram& program) {
  struct Own {
    hw::Bytes gathered, gradients;
    std::vector<Op> gather, reduce;
  };
  std::vector<Own> own;
  own.reserve(program.blocks.size());
  for (const Block& block : program.blocks)
    own.push_back({block.gathered, block.whole_gradients, block.gather, block.reduce});
  for (Block& block : program.blocks) {
    for (const Weight& weight : block.weights) {
      if (weight.shared == nullptr || (block.holds_embedding && std::string_view(weight.shared) == kEmbeddingTable))
        continue;
      const Block* owner = owner_of(program, weight.shared);
      if (owner == nullptr || owner == &block) continue;
      const Own& its = own[static_cast<std::size_t>(owner - program.blocks.data())];
      block.gathered += its.gathered;
      block.whole_gradients += its.gradients;
      block.shared_gradients += its.gradients;
      if (program.data_parallel.gather == When::every_pass)
        block.gather.insert(block.gather.end(), its.gather.begin(), its.gather.end());
      if (owner->kind == BlockKind::head) block.reduce.insert(block.reduce.end(), its.reduce.begin(), its.reduce.end());
    }
  }
}

bool shares(const Block& block, std::string_view weight) {
  return std::any_of(block.weights.begin(), block.weights.end(), [&](const Weight& mine) {
    return mine.shared != nullptr && std::string_view(mine.shared) == weight;
  });
}

/// Gradients that are reduced once a step are complete by then: the head's only behind multi-token prediction, which
/// uses its weights too and runs backward after it. (A block that runs several times reduces nothing of others.)
void reduce_behind_mtp(StepProgram& program) {
  for (const ChunkProgram& chunk : program.chunks) {
    for (const BlockRun& run : chunk.blocks) {
      Block& mtp = program.blocks[static_cast<std::size_t>(run.block)];
      if (mtp.kind != BlockKind::mtp || run.count > 1) continue;
      Block& last = program.blocks[static_cast<std::size_t>(chunk.blocks.back().block)];
      if (last.kind != BlockKind::head || !shares(mtp, kHeadLogits)) continue;
      mtp.reduce.insert(mtp.reduce.end(), last.reduce.begin(), last.reduce.end());
      last.reduce.clear();
    }
  }
}

/// As finish_block left it.
void forget(Block& block) {
  block.gather.clear();
  block.reduce.clear();
  block.gathered = block.whole_gradients = block.late_gradients = block.shared_gradients = {};
}

}  // namespace

void lower_data_parallel(const Run& run, StepProgram& program) {
  for (Block& block : program.blocks) forget(block);
  const bool fsdp = run.layout.fsdp > 0;
  const bool zero1 = run.layout.zero == Zero::optimizer;
  program.data_parallel = timing(run);
  const Replication dense{fsdp ? GroupKind::fsdp : GroupKind::dp_cp, fsdp || zero1, fsdp};
  const Replication expert{GroupKind::expert_dp, fsdp || zero1, false};
  const bool on_time = fsdp && !program.data_parallel.prefetch;
  for (Block& block : program.blocks) {
    const BlockParameters& p = block.parameters;
    if (on_time) {
      const double weight = hw::bytes_per_element(run.traits.param_gather_dtype);
      if (program.data_parallel.gather == When::every_pass) block.gathered = {weight * (p.dense + p.expert)};
      block.whole_gradients = {hw::bytes_per_element(run.traits.grad_dtype) * (p.trainable_dense + p.trainable_expert)};
    }
    add_collectives(block, program, dense, p.dense, p.trainable_dense);
    add_collectives(block, program, expert, p.expert, p.trainable_expert);
  }
  if (on_time) share_gathered(program);
  if (!fsdp) reduce_behind_mtp(program);
}

}  // namespace models
