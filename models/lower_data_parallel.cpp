#include "models/lower_stages.h"

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
    when.gather = l.zero == Zero::parameters ? When::every_pass : When::every_microbatch;
  }
  when.gather_overlap = when.reduce_overlap = true;
  return when;
}

}  // namespace

void lower_data_parallel(const Run& run, StepProgram& program) {
  const bool fsdp = run.layout.fsdp > 0;
  const bool zero1 = run.layout.zero == Zero::optimizer;
  program.data_parallel = timing(run);
  const Replication dense{fsdp ? GroupKind::fsdp : GroupKind::dp_cp, fsdp || zero1, fsdp};
  const Replication expert{GroupKind::expert_dp, fsdp ? run.traits.fsdp_experts : zero1, false};
  const bool on_time = fsdp && !program.data_parallel.prefetch;
  for (Block& block : program.blocks) {
    const BlockParameters& p = block.parameters;
    if (on_time) {
      const double experts = run.traits.fsdp_experts ? 1 : 0;
      const double weight = hw::bytes_per_element(run.traits.param_gather_dtype);
      if (program.data_parallel.gather == When::every_pass) block.gathered = {weight * (p.dense + experts * p.expert)};
      block.whole_gradients = {hw::bytes_per_element(run.traits.grad_dtype) *
                               (p.trainable_dense + experts * p.trainable_expert)};
    }
    add_collectives(block, program, dense, p.dense, p.trainable_dense);
    add_collectives(block, program, expert, p.expert, p.trainable_expert);
  }
}

}  // namespace models
