#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "exec/rank_executor.h"

namespace exec {
namespace {

using models::GroupKind;
using models::When;

View slice(const View& whole, std::int64_t first, std::int64_t count) {
  View part = whole;
  part.offset += first;
  part.rows = 1;
  part.columns = count;
  return part;
}

GroupKind group_of(const models::Op& op) { return std::get<models::Collective>(op.work).group; }

/// Whether a reduction or gather of a block concerns its experts.
bool of_experts(const models::Op& op) { return group_of(op) == GroupKind::expert_dp; }

/// Elements of a parameter that this rank owns the states of: [first, last) within its group.
std::pair<std::int64_t, std::int64_t> owned_range(const ParameterGroup& group, const Parameter& parameter) {
  const std::int64_t first = std::max(parameter.offset, group.first_owned());
  const std::int64_t last = std::min(parameter.offset + parameter.elements(), group.first_owned() + group.owned());
  return {first, std::max(first, last)};
}

/// Where element `place` of the group lies in its gradient buffer.
std::int64_t in_gradients(const ParameterGroup& group, std::int64_t place) {
  return group.weights_sharded ? place - group.first_owned() : place;
}

}  // namespace

void RankExecutor::launch_collective(const models::Op& op, const View& from, const View& to, std::int64_t id) {
  OpCall call{.op = &op, .facts = &facts_};
  call.reads.push_back(from);
  call.writes.push_back(to);
  call.group = &communicator(group_of(op));
  device_.launch(call, op.stream, id);
}

/// All groups whose weights a block uses.
std::vector<std::size_t> RankExecutor::used_groups(const BlockInstance& instance) const {
  std::vector<std::size_t> used;
  for (const auto& [tensor, place] : instance.weights)
    if (std::find(used.begin(), used.end(), place.group) == used.end()) used.push_back(place.group);
  return used;
}

void RankExecutor::begin_gather(const BlockInstance& instance) {
  for (const std::size_t index : used_groups(instance)) {
    ParameterGroup& group = parameters_.groups()[index];
    if (!group.weights_sharded || group.gathered.buffer) continue;
    group.gathered = parameters_.new_buffer(device_, group.total, group.gathered_type);
    if (group.shards == 1) {
      device_.copy(group.weights, group.gathered, models::Stream::compute);
      continue;
    }
    const models::Op& op = gather_op(group.expert);
    View mine = group.weights;
    if (mine.dtype != group.gathered_type) {
      mine = slice(group.gathered, mine.columns * group.index, mine.columns);
      device_.copy(group.weights, mine, models::Stream::compute);
      device_.wait(op.stream, device_.record(models::Stream::compute));
    }
    launch_collective(op, mine, group.gathered, -1);
    device_.wait(models::Stream::compute, device_.record(op.stream));
  }
}

void RankExecutor::end_gather(const BlockInstance& instance) {
  if (program_.data_parallel.gather != When::every_pass) return;
  for (const std::size_t index : used_groups(instance)) parameters_.groups()[index].gathered = {};
}

/// Behind a whole backward pass, where weights stay gathered from forward on.
void RankExecutor::release_gathered(int chunk) {
  if (program_.data_parallel.gather != When::every_microbatch) return;
  for (const BlockInstance& instance : parameters_.blocks())
    if (instance.chunk == chunk)
      for (const std::size_t index : used_groups(instance)) parameters_.groups()[index].gathered = {};
}

/// FSDP: whole gradients of one microbatch, until they are reduced to this rank's share.
void RankExecutor::begin_gradients(const BlockInstance& instance) {
  for (const std::size_t index : used_groups(instance)) {
    ParameterGroup& group = parameters_.groups()[index];
    if (group.trained == 0) continue;
    if (!group.weights_sharded && !group.gradients.buffer) {
      group.gradients = parameters_.new_buffer(device_, group.trained, group.gradient_type);
      device_.fill_zero(group.gradients, models::Stream::compute);
    }
    if (!group.weights_sharded || group.whole_gradients.buffer) continue;
    group.whole_gradients = parameters_.new_buffer(device_, group.trained, group.gradient_type);
    device_.fill_zero(group.whole_gradients, models::Stream::compute);
  }
}

/// Behind the backward pass of a block: FSDP reduces each microbatch, or like DDP and ZeRO-1 only the last.
void RankExecutor::reduce_after(const BlockInstance& instance, const models::PipelineTask& task, int index) {
  const bool last = last_task_of_chunk(task, index);
  const bool each = program_.data_parallel.reduce == When::every_microbatch;
  if (!each && !last) return;
  if (!each && reduces_late()) return;
  reduce(instance, last);
}

/// Once a step, behind all of it: also where another block may yet add to a gradient behind its own block's backward.
bool RankExecutor::reduces_late() const {
  return !program_.data_parallel.reduce_overlap || run_.model.tied_embeddings || run_.model.mtp.depth > 0;
}

/// Behind a whole backward pass: gradients of weights that a block uses after their own block's reduction (MTP uses the
/// head's).
void RankExecutor::reduce_rest(const models::PipelineTask& task, int index) {
  if (program_.data_parallel.reduce != When::every_microbatch && !last_task_of_chunk(task, index)) return;
  for (ParameterGroup& group : parameters_.groups())
    if (group.whole_gradients.buffer) reduce_shard(group);
}

bool RankExecutor::last_task_of_chunk(const models::PipelineTask& task, int index) const {
  const int flush = run_.layout.microbatches / std::max(1, run_.layout.flushes);
  if (task.microbatch / flush != std::max(1, run_.layout.flushes) - 1) return false;
  const auto& tasks = rank_program_.tasks;
  for (std::size_t i = static_cast<std::size_t>(index) + 1; i < tasks.size(); ++i)
    if (tasks[i].chunk == task.chunk && tasks[i].phase == task.phase) return false;
  return true;
}

void RankExecutor::reduce(const BlockInstance& instance, bool last) {
  const models::Block& block = this->block(instance);
  for (const std::size_t index : instance.groups) {
    ParameterGroup& group = parameters_.groups()[index];
    if (group.weights_sharded) {
      if (!group.whole_gradients.buffer) continue;
      reduce_shard(group);
      continue;
    }
    if (!last) continue;  // whole gradients add up over the microbatches first
    for (const models::Op& op : block.reduce) {
      if (of_experts(op) != group.expert) continue;
      device_.wait(op.stream, device_.record(models::Stream::compute));
      const bool scatters = std::get<models::Collective>(op.work).kind == models::CollectiveKind::reduce_scatter;
      launch_collective(op, group.gradients,
                        scatters ? slice(group.gradients, group.first_owned(), group.owned()) : group.gradients, -1);
    }
  }
}

/// FSDP: adds this rank's share of the sum over the group (and over replicas) to its gradients.
void RankExecutor::reduce_shard(ParameterGroup& group) {
  View share = group.whole_gradients;
  if (group.shards > 1) {
    share = slice(group.whole_gradients, group.first_owned(), group.owned());
    const models::Op& op = reduce_op(group.expert);
    device_.wait(op.stream, device_.record(models::Stream::compute));
    launch_collective(op, group.whole_gradients, share, -1);
    device_.wait(models::Stream::compute, device_.record(op.stream));
  }
  if (const models::Op* replicas = replica_op(); replicas != nullptr && !group.expert) {
    device_.wait(replicas->stream, device_.record(models::Stream::compute));
    launch_collective(*replicas, share, share, -1);
    device_.wait(models::Stream::compute, device_.record(replicas->stream));
  }
  if (group.gradients.buffer) {
    device_.add(share, group.gradients, models::Stream::compute);
  } else {
    group.gradients = parameters_.new_buffer(device_, group.owned(), group.gradient_type);
    device_.copy(share, group.gradients, models::Stream::compute);
  }
  group.whole_gradients = {};
}

/// The collective of that kind in any block: all of them differ in their payload only.
const models::Op* RankExecutor::find_op(bool gather, models::GroupKind kind) const {
  for (const models::Block& block : program_.blocks)
    for (const models::Op& op : gather ? block.gather : block.reduce)
      if (group_of(op) == kind) return &op;
  return nullptr;
}

const models::Op& RankExecutor::gather_op(bool expert) const {
  return *find_op(true, expert ? GroupKind::expert_dp : GroupKind::fsdp);
}

const models::Op& RankExecutor::reduce_op(bool expert) const {
  return *find_op(false, expert ? GroupKind::expert_dp : GroupKind::fsdp);
}

const models::Op* RankExecutor::replica_op() const { return find_op(false, GroupKind::replica); }

void RankExecutor::finish_gradients() {
  const bool late = reduces_late();
  share_embedding_gradient();
  if (program_.data_parallel.reduce == When::once_a_step && late)
    for (const BlockInstance& instance : parameters_.blocks()) reduce(instance, true);
  device_.synchronize();
  for (ParameterGroup& group : parameters_.groups()) group.gathered = {};
  sum_over_tp();
}

/// Tied embeddings on the first and last pipeline ranks: both get the sum.
void RankExecutor::share_embedding_gradient() {
  if (!program_.ends_share_embedding) return;
  for (ParameterGroup& group : parameters_.groups()) {
    for (const Parameter& parameter : group.parameters) {
      if (parameter.name != models::kEmbeddingTable) continue;
      device_.synchronize();
      const auto pp = grid_.members(GroupKind::pp);
      const int other = grid_.index(GroupKind::pp) == 0 ? pp.back() : pp.front();
      const View mine = slice(group.gradients, parameter.offset, parameter.elements());
      const auto bytes =
          static_cast<std::size_t>(static_cast<double>(mine.elements()) * hw::bytes_per_element(mine.dtype));
      View theirs = mine;
      theirs.offset = 0;
      theirs.buffer = device_.allocate(bytes);
      exchange(other, mine, theirs, bytes);
      device_.add(theirs, mine, models::Stream::compute);
      device_.synchronize();
    }
  }
}

/// Gradients that TP ranks have parts of: of norms on sequence shards, of norms of heads.
void RankExecutor::sum_over_tp() {
  if (run_.layout.tp == 1) return;
  for (ParameterGroup& group : parameters_.groups()) {
    for (const Parameter& parameter : group.parameters) {
      if (!parameter.weight->summed_over_tp || !parameter.trained) continue;
      const auto [first, last] = owned_range(group, parameter);
      if (first == last) continue;
      const View mine = slice(group.gradients, in_gradients(group, first), last - first);
      communicator(GroupKind::tp).all_reduce(mine.data(), mine.data(), mine.elements(), mine.dtype);
    }
  }
}

/// Whether this rank counts a parameter's owned elements: each element of the model counts on one rank.
bool RankExecutor::counts(const ParameterGroup& group, const Parameter& parameter) const {
  if (!parameter.trained || parameter.another_stage_has_it) return false;
  if (!parameter.weight->cut && grid_.index(group.expert ? GroupKind::etp : GroupKind::tp) != 0) return false;
  if (group.shards == 1 && grid_.index(group.over) != 0) return false;
  return group.over != GroupKind::fsdp || grid_.index(GroupKind::replica) == 0;
}

std::map<std::string, double> RankExecutor::gradient_squares() {
  std::map<std::string, double> squares;
  for (ParameterGroup& group : parameters_.groups()) {
    for (const Parameter& parameter : group.parameters) {
      if (!counts(group, parameter)) continue;
      const auto [first, last] = owned_range(group, parameter);
      squares[parameter.name] +=
          device_.sum_of_squares(slice(group.gradients, in_gradients(group, first), last - first));
    }
  }
  return squares;
}

double RankExecutor::gradient_norm() {
  squares_ = gradient_squares();
  double sum = 0;
  for (const auto& [name, square] : squares_) sum += square;
  return std::sqrt(sum_over_ranks({sum})[0]);
}

void RankExecutor::update(std::int64_t step, double norm) {
  const models::TrainSpec& train = run_.train;
  AdamWStep adamw{.learning_rate = models::learning_rate(train, step),
                  .beta1 = train.beta1,
                  .beta2 = train.beta2,
                  .step = step + 1};
  // As torch.nn.utils.clip_grad_norm_ has it.
  if (train.clip > 0) adamw.gradient_factor = std::min(1.0, train.clip / (norm + 1e-6));
  for (ParameterGroup& group : parameters_.groups()) {
    for (const Parameter& parameter : group.parameters) {
      const auto [first, last] = owned_range(group, parameter);
      if (!parameter.trained || first == last) continue;
      adamw.weight_decay = parameter.weight->decayed ? train.weight_decay : 0;
      const std::int64_t count = last - first, state = first - group.first_owned();
      const std::int64_t weight = group.weights_sharded ? state : first;
      device_.adamw(adamw, {.gradients = slice(group.gradients, in_gradients(group, first), count),
                            .weights = slice(group.weights, weight, count),
                            .master = slice(group.master, state, count),
                            .first_moments = slice(group.first_moments, state, count),
                            .second_moments = slice(group.second_moments, state, count)});
    }
    if (group.late_gradients) group.gradients = {};  // they come with the next step's first backward pass
  }
}

/// ZeRO-1: what each rank's optimizer changed.
void RankExecutor::gather_weights() {
  for (const BlockInstance& instance : parameters_.blocks()) {
    for (const models::Op& op : block(instance).gather) {
      for (const std::size_t index : instance.groups) {
        ParameterGroup& group = parameters_.groups()[index];
        if (group.weights_sharded || of_experts(op) != group.expert || group.shards == 1) continue;
        launch_collective(op, slice(group.weights, group.first_owned(), group.owned()),
                          slice(group.weights, 0, group.trained), -1);
        device_.wait(models::Stream::compute, device_.record(op.stream));
      }
    }
  }
}

}  // namespace exec
