#include "exec/rank_executor.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "exec/runnable.h"
#include "exec/sequence_shards.h"

namespace exec {
namespace {

using models::GroupKind;
using models::Phase;

/// Above the tags of communicators.
constexpr int kFirstPipelineTag = 1 << 20;
constexpr auto kPipelineTimeLimit = std::chrono::minutes(10);

Deadline deadline() { return std::chrono::steady_clock::now() + kPipelineTimeLimit; }

RankFacts facts_of(const models::Run& run, const RankGrid& grid) {
  const models::Layout& layout = run.layout;
  RankFacts facts{.tp = layout.tp,
                  .tp_index = grid.index(GroupKind::tp),
                  .cp = layout.cp,
                  .cp_index = grid.index(GroupKind::cp),
                  .etp_index = grid.index(GroupKind::etp),
                  .batch = layout.mbs,
                  .vocabulary = run.model.vocab,
                  .positions = {}};
  for (int i = 0; i < layout.cp; ++i) facts.positions.push_back(sequence_shard(layout.seq_len, layout.cp, i));
  facts.loss_factor = 1 / (static_cast<double>(layout.gbs) * static_cast<double>(layout.seq_len));
  return facts;
}

std::size_t bytes_of(const models::SendRecv& work) { return static_cast<std::size_t>(work.payload.value); }

}  // namespace

RankExecutor::RankExecutor(const models::Run& run, const models::StepProgram& program, Device& device,
                           Transport& transport, const MakeCommunicator& communicators)
    : run_(run),
      program_(program),
      device_(device),
      transport_(transport),
      grid_(program, transport.rank()),
      facts_(facts_of(run, grid_)),
      parameters_(run, program, grid_, device),
      rank_program_(models::expand(program, grid_.index(GroupKind::pp))),
      dtype_(models::storage_type(run.precision)) {
  if (const auto why = why_not_runnable(program)) throw std::invalid_argument(*why);
  std::vector<int> all(static_cast<std::size_t>(transport.size()));
  std::iota(all.begin(), all.end(), 0);
  world_ = communicators(0, "world", all);
  constexpr std::array<const char*, models::kGroups> kNames = {"tp",    "cp",        "ep", "etp",  "dp",
                                                               "dp_cp", "expert_dp", "pp", "fsdp", "replica"};
  for (std::size_t kind = 0; kind < models::kGroups; ++kind) {
    const auto group = static_cast<GroupKind>(kind);
    if (grid_.size(group) == 1) continue;
    const std::vector<int> members = grid_.members(group);
    const int id = 1 + static_cast<int>(kind) * transport.size() + members.front();
    groups_[kind] = communicators(id, kNames[kind], members);
  }
  if (run.layout.pp > 1) {
    const std::size_t bytes = bytes_of(std::get<models::SendRecv>(program.send.work));
    for (View& buffer : pipeline_buffers_) {
      const std::int64_t columns = run.model.hidden;
      const auto rows = static_cast<std::int64_t>(static_cast<double>(bytes) / hw::bytes_per_element(dtype_)) / columns;
      buffer = {.buffer = device.allocate(bytes), .rows = rows, .columns = columns, .dtype = dtype_};
    }
  }
}

Communicator& RankExecutor::communicator(GroupKind kind) {
  Communicator* group = groups_[static_cast<std::size_t>(kind)].get();
  if (group == nullptr) throw std::logic_error("a collective over a group of one rank");
  return *group;
}

StepResult RankExecutor::step(std::int64_t step, const TokenSource& tokens) {
  tokens_ = &tokens;
  step_ = step;
  loss_ = 0;
  device_.reset_peak();
  for (const ParameterGroup& group : parameters_.groups())
    if (group.gradients.buffer) device_.fill_zero(group.gradients, models::Stream::compute);
  const auto& tasks = rank_program_.tasks;
  for (int flush = 0; flush < std::max(1, run_.layout.flushes); ++flush) {
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      models::PipelineTask task = tasks[i];
      task.microbatch += flush * (run_.layout.microbatches / std::max(1, run_.layout.flushes));
      run_task(task, static_cast<int>(i));
    }
  }
  for (const Sending& sending : sending_) transport_.wait(sending.request, deadline());
  sending_.clear();
  finish_gradients();
  const double norm = gradient_norm();
  update(step, norm);
  if (models::gathers_at_the_end(program_.data_parallel)) gather_weights();
  device_.synchronize();
  const bool counts = facts_.tp_index == 0;
  return {.loss = sum_over_ranks({counts ? loss_ : 0})[0], .gradient_norm = norm, .peak_bytes = device_.peak_bytes()};
}

std::vector<double> RankExecutor::sum_over_ranks(const std::vector<double>& values) {
  std::vector<double> sums(values.size());
  world_->all_reduce(values.data(), sums.data(), static_cast<std::int64_t>(values.size()), hw::DType::fp64);
  return sums;
}

void RankExecutor::run_task(const models::PipelineTask& task, int index) {
  switch (task.phase) {
    case Phase::forward: return forward(task, index);
    case Phase::backward:
    case Phase::input_grad: return backward(task, index);
    case Phase::weight_grad: return weight_gradients(task, index);
  }
}

void RankExecutor::forward(const models::PipelineTask& task, int index) {
  const auto places = models::pass_blocks(program_.chunks[static_cast<std::size_t>(task.chunk)], Phase::forward);
  Saved& saved = saved_[{task.chunk, task.microbatch}];
  View x;
  if (task.chunk > 0) x = receive(task.chunk - 1, task, true);
  for (int position = 0; position < static_cast<int>(places.size()); ++position) {
    BlockInstance& instance = parameters_.block(task.chunk, position);
    const models::Block& block = this->block(instance);
    Tensors tensors{.views = std::vector<View>(block.tensors.size())};
    if (block.input != models::kNoTensor) tensors[block.input] = std::move(x);
    x = {};
    fill_data(instance, task, tensors);
    take_carried(block, saved, tensors);
    begin_gathers(task, index, position, static_cast<int>(places.size()));
    run_pass(instance, Phase::forward, tensors, index, position);
    keep_carried(block, tensors, saved);
    end_gather(instance);
    if (block.output != models::kNoTensor) {
      View& output = tensors[block.output];
      x = output;
      if (!block.tensors[static_cast<std::size_t>(block.output)].kept) output = {};
    }
    saved.blocks.push_back(std::move(tensors));
  }
  if (task.chunk + 1 < static_cast<int>(program_.chunks.size())) send(task.chunk + 1, task, true, x);
}

void RankExecutor::backward(const models::PipelineTask& task, int index) {
  const auto key = std::pair{static_cast<int>(task.chunk), static_cast<int>(task.microbatch)};
  Saved& saved = saved_.at(key);
  View gradient;
  if (task.chunk + 1 < static_cast<int>(program_.chunks.size())) gradient = receive(task.chunk + 1, task, false);
  const auto positions = static_cast<int>(saved.blocks.size());
  for (int position = positions - 1; position >= 0; --position) {
    BlockInstance& instance = parameters_.block(task.chunk, position);
    const models::Block& block = this->block(instance);
    Tensors& tensors = saved.blocks[static_cast<std::size_t>(position)];
    if (block.output_gradient != models::kNoTensor) tensors[block.output_gradient] = std::move(gradient);
    gradient = {};
    take_carried_gradients(block, saved, tensors);
    begin_gathers(task, index, positions - 1 - position, positions);
    begin_gradients(instance);
    run_pass(instance, task.phase, tensors, index, positions - 1 - position);
    keep_carried_gradients(block, tensors, saved);
    if (block.input_gradient != models::kNoTensor) {
      View& mine = tensors[block.input_gradient];
      gradient = mine;
      if (task.phase == Phase::backward || !plan(instance.block, Phase::weight_grad).needs(block.input_gradient))
        mine = {};
    }
    end_gather(instance);
    if (task.phase == Phase::backward) {
      tensors = {};
      reduce_after(instance, task, index, positions - 1 - position);
    }
  }
  release_gathered(task.chunk);
  if (task.chunk > 0) send(task.chunk - 1, task, false, gradient);
  if (task.phase == Phase::backward) saved_.erase(key);
}

void RankExecutor::weight_gradients(const models::PipelineTask& task, int index) {
  const auto key = std::pair{static_cast<int>(task.chunk), static_cast<int>(task.microbatch)};
  Saved& saved = saved_.at(key);
  const auto positions = static_cast<int>(saved.blocks.size());
  for (int position = positions - 1; position >= 0; --position) {
    BlockInstance& instance = parameters_.block(task.chunk, position);
    begin_gradients(instance);
    run_pass(instance, Phase::weight_grad, saved.blocks[static_cast<std::size_t>(position)], index,
             positions - 1 - position);
    saved.blocks[static_cast<std::size_t>(position)] = {};
    reduce_after(instance, task, index, positions - 1 - position);
  }
  saved_.erase(key);
}

/// Activations of the chunk before, or gradients of the chunk behind.
View RankExecutor::receive(int chunk, const models::PipelineTask& task, bool forward) {
  const int from = run_.layout.stage_of_chunk(chunk), me = grid_.index(GroupKind::pp);
  const std::pair<int, int> key{task.chunk, task.microbatch * 2 + (forward ? 0 : 1)};
  if (from == me) {
    View x = std::move(handed_.at(key));
    handed_.erase(key);
    return x;
  }
  const View& buffer = pipeline_buffers_[forward ? 0 : 1];
  const int tag = pipeline_tag(task.chunk, task.microbatch, forward);
  const int rank = grid_.members(GroupKind::pp)[static_cast<std::size_t>(from)];
  device_.synchronize();  // what arrived before may not have left the buffer yet
  transport_.recv(rank, tag, buffer.data(), buffer.buffer->bytes(), deadline());
  View x = buffer;
  x.buffer = device_.allocate(buffer.buffer->bytes());
  device_.copy(buffer, x, models::Stream::compute);
  x.written = device_.record(models::Stream::compute);
  return x;
}

/// To the rank that runs `chunk`; its copy waits in host memory until it is taken.
void RankExecutor::send(int chunk, const models::PipelineTask& task, bool forward, const View& x) {
  const int to = run_.layout.stage_of_chunk(chunk), me = grid_.index(GroupKind::pp);
  if (to == me) {
    handed_[{chunk, task.microbatch * 2 + (forward ? 0 : 1)}] = x;
    return;
  }
  device_.synchronize();
  const auto* data = static_cast<const std::byte*>(x.data());
  Sending sending;
  sending.bytes.assign(data, data + pipeline_buffers_[0].buffer->bytes());
  sending_.push_back(std::move(sending));
  Sending& mine = sending_.back();
  const int rank = grid_.members(GroupKind::pp)[static_cast<std::size_t>(to)];
  mine.request =
      transport_.isend(rank, pipeline_tag(chunk, task.microbatch, forward), mine.bytes.data(), mine.bytes.size());
}

void RankExecutor::exchange(int rank, const View& mine, const View& theirs, std::size_t bytes) {
  const int tag = kFirstPipelineTag - 1;
  const Request in = transport_.irecv(rank, tag, theirs.data(), bytes);
  const Request out = transport_.isend(rank, tag, mine.data(), bytes);
  transport_.wait(in, deadline());
  transport_.wait(out, deadline());
}

int RankExecutor::pipeline_tag(int chunk, int microbatch, bool forward) const {
  const int chunks = static_cast<int>(program_.chunks.size());
  return kFirstPipelineTag + (microbatch * chunks + chunk) * 2 + (forward ? 0 : 1);
}

}  // namespace exec
