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

void RankExecutor::launch_collective(const Transfer& transfer, const View& from, const View& to) {
  OpCall call{.op = transfer.op, .facts = &facts_};
  call.reads.push_back(from);
  call.writes.push_back(to);
  call.group = &communicator(group_of(*transfer.op));
  device_.launch(call, transfer.op->stream, transfer.id);
}

/// All groups whose weights a block uses: its own, then those of other blocks.
std::vector<std::size_t> RankExecutor::used_groups(const BlockInstance& instance) const {
  std::vector<std::size_t> used = instance.groups;
  for (const auto& [tensor, place] : instance.weights)
    if (std::find(used.begin(), used.end(), place.group) == used.end()) used.push_back(place.group);
  return used;
}

/// The gathers or reductions of a block, which are in the order of used_groups(), as ops of a pass.
std::vector<RankExecutor::Transfer> RankExecutor::transfers(const BlockInstance& instance, models::OpList list,
                                                            std::int64_t task, int position) const {
  std::vector<Transfer> all;
  for (const models::Op& op : models::ops_of(block(instance), list))
    all.push_back({&op, models::op_id(task, position, list, static_cast<int>(all.size()))});
  return all;
}

/// Takes the first transfer over `kind` out of a block's list; its op is null where there is none.
RankExecutor::Transfer RankExecutor::take(std::vector<Transfer>& left, GroupKind kind) {
  for (auto transfer = left.begin(); transfer != left.end(); ++transfer) {
    if (group_of(*transfer->op) != kind) continue;
    const Transfer taken = *transfer;
    left.erase(transfer);
    return taken;
  }
  return {};
}

/// As take(). Where the program has none, the block needs a group of another block besides that block's own turn: it
/// is that block's transfer, without an id.
RankExecutor::Transfer RankExecutor::take(std::vector<Transfer>& left, GroupKind kind, std::size_t group,
                                          models::OpList list) const {
  if (const Transfer mine = take(left, kind); mine.op != nullptr) return mine;
  std::vector<Transfer> of_owner = transfers(parameters_.owner(group), list, 0, 0);
  const Transfer its = take(of_owner, kind);
  if (its.op == nullptr) throw std::logic_error("the program has no transfer for a group of parameters");
  return {its.op, -1};
}

/// Gathers before a pass over the block at `position`, in execution order, of `count`: its own parameters, or with
/// prefetch the next block's, the first block's being gathered by itself.
void RankExecutor::begin_gathers(const models::PipelineTask& task, int index, int position, int count) {
  const models::DataParallel& when = program_.data_parallel;
  const bool forward = task.phase == models::Phase::forward;
  const bool gathers = models::gathers(when, task.phase, task.microbatch == 0);
  const bool ahead = gathers && when.prefetch && when.gather_overlap;
  const auto begin = [&](int at) {
    begin_gather(parameters_.block(task.chunk, forward ? at : count - 1 - at), index, at, gathers);
  };
  if (!ahead || position == 0) begin(position);
  if (ahead && position + 1 < count) begin(position + 1);
}

void RankExecutor::begin_gather(const BlockInstance& instance, std::int64_t task, int position, bool gathers) {
  std::vector<Transfer> left = transfers(instance, models::OpList::gather, task, position);
  for (const std::size_t index : used_groups(instance)) {
    ParameterGroup& group = parameters_.groups()[index];
    if (!group.weights_sharded) {
      if (gathers) gather_states(index, left);
      continue;
    }
    ++group.users;
    if (group.gathered.buffer) continue;
    group.gathered = parameters_.new_buffer(device_, group.total, group.gathered_type);
    if (group.shards == 1) {
      device_.copy(group.weights, group.gathered, models::Stream::compute);
      continue;
    }
    const Transfer gather = take(left, group.over, index, models::OpList::gather);
    View mine = group.weights;
    if (mine.dtype != group.gathered_type) {
      mine = slice(group.gathered, mine.columns * group.index, mine.columns);
      device_.copy(group.weights, mine, models::Stream::compute);
      device_.wait(gather.op->stream, device_.record(models::Stream::compute));
    }
    launch_collective(gather, mine, group.gathered);
    group.gathered.written = device_.record(gather.op->stream);
  }
}

/// ZeRO-1: what each rank's optimizer changed.
void RankExecutor::gather_states(std::size_t index, std::vector<Transfer>& left) {
  ParameterGroup& group = parameters_.groups()[index];
  if (group.shards == 1 || group.trained == 0 || group.newest) return;
  const Transfer gather = take(left, group.over, index, models::OpList::gather);
  launch_collective(gather, slice(group.weights, group.first_owned(), group.owned()),
                    slice(group.weights, 0, group.trained));
  group.weights.written = device_.record(gather.op->stream);
  group.newest = true;
}

void RankExecutor::end_gather(const BlockInstance& instance) {
  if (program_.data_parallel.gather != When::every_pass) return;
  for (const std::size_t index : used_groups(instance)) {
    ParameterGroup& group = parameters_.groups()[index];
    if (--group.users == 0) group.gathered = {};
  }
}

/// Behind a whole backward pass, where weights stay gathered from forward on.
void RankExecutor::release_gathered(int chunk) {
  if (program_.data_parallel.gather != When::every_microbatch) return;
  for (const BlockInstance& instance : parameters_.blocks()) {
    if (instance.chunk != chunk) continue;
    for (const std::size_t index : used_groups(instance)) {
      parameters_.groups()[index].gathered = {};
      parameters_.groups()[index].users = 0;
    }
  }
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

/// Behind the backward pass of a block.
void RankExecutor::reduce_after(const BlockInstance& instance, const models::PipelineTask& task, int index,
                                int position) {
  const bool last = last_task_of_chunk(task, index);
  if (models::reduces(program_.data_parallel, task.phase, last) && !reduces_late())
    reduce(instance, last, index, position);
}

/// Once a step, behind all of it: also where another stage adds to a gradient.
bool RankExecutor::reduces_late() const {
  return models::reduces_at_the_end(program_.data_parallel) ||
         (program_.ends_share_embedding && run_.layout.pp > 1 && run_.layout.fsdp == 0);
}

bool RankExecutor::last_task_of_chunk(const models::PipelineTask& task, int index) const {
  const int flush = run_.layout.microbatches / std::max(1, run_.layout.flushes);
  if (task.microbatch / flush != std::max(1, run_.layout.flushes) - 1) return false;
  const auto& tasks = rank_program_.tasks;
  for (std::size_t i = static_cast<std::size_t>(index) + 1; i < tasks.size(); ++i)
    if (tasks[i].chunk == task.chunk && tasks[i].phase == task.phase) return false;
  return true;
}

/// Of its own weights, and of another block's that has run backward before.
void RankExecutor::reduce(const BlockInstance& instance, bool last, std::int64_t task, int position) {
  std::vector<Transfer> left = transfers(instance, models::OpList::reduce, task, position);
  for (const std::size_t index : used_groups(instance)) {
    ParameterGroup& group = parameters_.groups()[index];
    const bool own = std::find(instance.groups.begin(), instance.groups.end(), index) != instance.groups.end();
    if (!own && parameters_.owner(index).position < instance.position) continue;
    if (group.weights_sharded) {
      if (group.whole_gradients.buffer) reduce_shard(index, left);
      continue;
    }
    if (!last || group.trained == 0) continue;  // they add up first
    const Transfer reduction = take(left, group.over);
    if (reduction.op == nullptr) continue;  // of one rank, or reduced with the block that adds to them last
    device_.wait(reduction.op->stream, device_.record(models::Stream::compute));
    const bool scatters =
        std::get<models::Collective>(reduction.op->work).kind == models::CollectiveKind::reduce_scatter;
    launch_collective(reduction, group.gradients,
                      scatters ? slice(group.gradients, group.first_owned(), group.owned()) : group.gradients);
  }
}

/// FSDP: adds this rank's share of the sum over the group (and over replicas) to its gradients.
void RankExecutor::reduce_shard(std::size_t index, std::vector<Transfer>& left) {
  ParameterGroup& group = parameters_.groups()[index];
  const auto launch = [&](GroupKind kind, const View& from, const View& to) {
    const Transfer reduction = take(left, kind, index, models::OpList::reduce);
    device_.wait(reduction.op->stream, device_.record(models::Stream::compute));
    launch_collective(reduction, from, to);
    device_.wait(models::Stream::compute, device_.record(reduction.op->stream));
  };
  View share = group.whole_gradients;
  if (group.shards > 1) {
    share = slice(group.whole_gradients, group.first_owned(), group.owned());
    launch(group.over, group.whole_gradients, share);
  }
  if (!group.expert && grid_.size(GroupKind::replica) > 1) launch(GroupKind::replica, share, share);
  if (group.gradients.buffer) {
    device_.add(share, group.gradients, models::Stream::compute);
  } else {
    group.gradients = parameters_.new_buffer(device_, group.owned(), group.gradient_type);
    device_.copy(share, group.gradients, models::Stream::compute);
  }
  group.whole_gradients = {};
}

void RankExecutor::finish_gradients() {
  share_embedding_gradient();
  if (reduces_late()) {
    int position = 0;
    for (const BlockInstance& instance : parameters_.blocks()) reduce(instance, true, models::kEndOfStep, position++);
  }
  device_.synchronize();
  for (ParameterGroup& group : parameters_.groups()) {
    group.gathered = {};
    group.users = 0;
  }
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
  constexpr std::int64_t kOptimizer = models::op_id(models::kEndOfStep, 0, models::OpList::forward, 0);
  if (train.clip > 0) adamw.gradient_factor = std::min(1.0, train.clip / (norm + 1e-6));
  for (ParameterGroup& group : parameters_.groups()) {
    for (const Parameter& parameter : group.parameters) {
      const auto [first, last] = owned_range(group, parameter);
      if (!parameter.trained || first == last) continue;
      adamw.weight_decay = parameter.weight->decayed ? train.weight_decay : 0;
      const std::int64_t count = last - first, state = first - group.first_owned();
      const std::int64_t weight = group.weights_sharded ? state : first;
      device_.adamw(adamw,
                    {.gradients = slice(group.gradients, in_gradients(group, first), count),
                     .weights = slice(group.weights, weight, count),
                     .master = slice(group.master, state, count),
                     .first_moments = slice(group.first_moments, state, count),
                     .second_moments = slice(group.second_moments, state, count)},
                    kOptimizer);
    }
    group.newest = false;
    if (group.late_gradients) group.gradients = {};  // they come with the next step's first backward pass
  }
}

void RankExecutor::gather_weights() {
  device_.wait(models::Stream::dp_comm, device_.record(models::Stream::compute));
  int position = 0;
  for (const BlockInstance& instance : parameters_.blocks()) {
    std::vector<Transfer> left = transfers(instance, models::OpList::gather, models::kEndOfStep, position++);
    for (const std::size_t index : instance.groups)
      if (!parameters_.groups()[index].weights_sharded) gather_states(index, left);
  }
}

}  // namespace exec
