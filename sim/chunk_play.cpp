#include "sim/chunk_play.h"

#include <algorithm>
#include <variant>

#include "sim/coalesce.h"

namespace sim {
namespace {

using models::Stream;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

bool takes_compute(const PlayedOp& op) {
  return op.link == Link::none && (op.stream == Stream::compute || op.stream == Stream::side);
}

void count(OpSums& work, const models::Op& op, const PlayedOp& played, const Price& price) {
  work.host += played.host.value;
  if (op.stream != Stream::host) work.origin[static_cast<std::size_t>(price.origin)] += price.time.value;
  if (takes_compute(played)) {
    work.compute[compute_part(op)] += price.time.value;
    work.ideal += price.ideal.value;
  } else {
    work.comm += price.time.value;
  }
}

PricedList price_list(const CostModel& model, const models::Block& block, const std::vector<models::Op>& ops) {
  PricedList list;
  list.ops.reserve(ops.size());
  list.weight_gradient.reserve(ops.size());
  for (const models::Op& op : ops) {
    const Price price = model.price(block, op);
    list.ops.push_back({.time = price.time,
                        .host = model.host_time(op),
                        .stream = op.stream,
                        .link = price.link,
                        .chunks = op.chunks,
                        .sync = std::holds_alternative<models::HostSync>(op.work),
                        .needs = op.needs});
    list.weight_gradient.push_back(op.weight_gradient);
    list.splits |= op.weight_gradient;
    count(list.work[op.weight_gradient ? 1 : 0], op, list.ops.back(), price);
  }
  return list;
}

/// The last op that writes `tensor`; else the last that is no weight gradient.
int last_writer(const std::vector<models::Op>& ops, models::TensorId tensor) {
  int last = -1;
  for (int i = static_cast<int>(ops.size()) - 1; i >= 0; --i) {
    if (tensor != models::kNoTensor && ops[at(i)].writes.contains(tensor)) return i;
    if (last < 0 && !ops[at(i)].weight_gradient) last = i;
  }
  return last;
}

models::TensorId gradient_of_input(const models::Block& block) {
  if (block.input == models::kNoTensor) return models::kNoTensor;
  for (std::size_t i = 0; i < block.tensors.size(); ++i)
    if (block.tensors[i].gradient_of == block.input) return static_cast<models::TensorId>(i);
  return models::kNoTensor;
}

PricedBlock price_block(const CostModel& model, const models::Block& block) {
  PricedBlock priced;
  priced.forward = price_list(model, block, block.forward);
  priced.backward = price_list(model, block, block.backward);
  priced.forward.output = last_writer(block.forward, block.output);
  priced.backward.output = last_writer(block.backward, gradient_of_input(block));
  priced.exchange = std::ranges::any_of(
      block.forward, [](const models::Op& op) { return std::holds_alternative<models::ExpertExchange>(op.work); });
  return priced;
}

bool skipped(const PricedList& list, std::size_t op, models::Phase kind) {
  if (kind == models::Phase::input_grad) return list.weight_gradient[op];
  return kind == models::Phase::weight_grad && !list.weight_gradient[op];
}

}  // namespace

void OpSums::add(const OpSums& other, double times) {
  compute.add(other.compute, times);
  for (std::size_t i = 0; i < origin.size(); ++i) origin[i] += times * other.origin[i];
  ideal += times * other.ideal;
  host += times * other.host;
  comm += times * other.comm;
}

OpSums PricedList::all() const {
  OpSums sum = work[0];
  sum.add(work[1]);
  return sum;
}

PricedProgram::PricedProgram(const CostModel& cost_model) : model(cost_model) {
  blocks.reserve(program().blocks.size());
  for (const models::Block& block : program().blocks) blocks.push_back(price_block(model, block));
  price_data_parallel();
  sharing = {.nvlink_sm_share = model.efficiency().nvlink_sm_share, .nic_sm_share = model.efficiency().nic_sm_share};
  copies = std::ranges::any_of(program().blocks, [](const models::Block& block) { return block.offloaded.value > 0; });
}

void PricedProgram::price_data_parallel() {
  sharded = program().layout.fsdp > 1;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const models::Block& block = program().blocks[i];
    blocks[i].gather = price_list(model, block, block.gather);
    blocks[i].reduce = price_list(model, block, block.reduce);
  }
}

int LaneBuilder::add_list(const PricedList& list, int after, int gathered, models::Phase kind) {
  const int earlier = before_;
  place_.assign(list.ops.size(), -1);
  const bool whole = kind == models::Phase::forward || kind == models::Phase::backward;
  int output = -1;
  for (std::size_t i = 0; i < list.ops.size(); ++i) {
    if (!whole && skipped(list, i, kind)) continue;
    const PlayedOp& alone = list.ops[i];
    PlayedOp& op = ops_.emplace_back(alone);
    op.host = host_factor_ * op.host;
    if (host_owed_.value > 0) {
      if (!op.sync) op.host += host_owed_;
      host_owed_ = {};
    }
    if (alone.needs.empty()) {
      // What comes back from the host is fetched while the block before still runs.
      const int output_before = op.stream == Stream::copy ? earlier : after;
      if (output_before >= 0) op.needs.push_back(static_cast<std::int16_t>(output_before));
      if (gathered >= 0) op.needs.push_back(static_cast<std::int16_t>(gathered));
    } else {
      op.needs.clear();
      for (const std::int16_t need : alone.needs)
        if (place_[at(need)] >= 0) op.needs.push_back(place_[at(need)]);
    }
    place_[i] = static_cast<std::int16_t>(ops_.size() - 1);
    if (static_cast<int>(i) <= list.output || output < 0) output = place_[i];
    here_.op = static_cast<std::int16_t>(i);
    origins_.push_back(here_);
  }
  before_ = after;
  if (list.host_after.value > 0) host_owed_ = list.host_after;
  if (kind != models::Phase::weight_grad) work_.add(list.work[0]);
  if (kind != models::Phase::input_grad && list.splits) work_.add(list.work[1]);
  return output;
}

/// Gathers the block at `position` of the pass.
int LaneBuilder::add_gather(std::span<const std::int16_t> blocks, int position, int after) {
  const PricedList& gather = priced_.blocks[at(blocks[at(position)])].gather;
  if (gather.ops.empty()) return -1;
  here_ = {.position = static_cast<std::int16_t>(position), .list = models::OpList::gather, .op = 0};
  add_list(gather, after, -1, models::Phase::forward);
  return static_cast<int>(ops_.size()) - 1;
}

void PricedProgram::join() {
  for (PricedBlock& block : blocks) {
    block.joined_forward = coalesced(block.forward);
    block.joined_backward = coalesced(block.backward);
  }
  joined = true;
}

/// Two lanes, whose host time differs, are built of the ops as they are.
const PricedList& LaneBuilder::list(const PricedBlock& block, models::Phase kind) const {
  const bool joined = priced_.joined && host_factor_ == 1;
  if (kind == models::Phase::forward) return joined ? block.joined_forward : block.forward;
  return joined && kind == models::Phase::backward ? block.joined_backward : block.backward;
}

void LaneBuilder::reserve(std::span<const std::int16_t> blocks, models::Phase kind) {
  std::size_t total = ops_.size(), longest = 0;
  for (const std::int16_t id : blocks) {
    const PricedBlock& block = priced_.blocks[at(id)];
    const PricedList& list = this->list(block, kind);
    total += list.ops.size() + block.gather.ops.size() + block.reduce.ops.size();
    longest = std::max(longest, list.ops.size());
  }
  ops_.reserve(total);
  origins_.reserve(total);
  place_.reserve(longest);
}

void LaneBuilder::add_pass(std::span<const std::int16_t> blocks, models::Phase kind, bool edge) {
  reserve(blocks, kind);
  const models::DataParallel& dp = priced_.program().data_parallel;
  const bool gather = models::gathers(dp, kind, edge), reduce = models::reduces(dp, kind, edge);
  const bool ahead = dp.prefetch && dp.gather_overlap;
  const int n = static_cast<int>(blocks.size());
  int output = -1;    // of the block before
  int gathered = -1;  // last gather of the coming block
  if (gather && ahead && n > 0) gathered = add_gather(blocks, 0, -1);
  for (int i = 0; i < n; ++i) {
    const PricedBlock& block = priced_.blocks[at(blocks[at(i)])];
    int next_gathered = -1;
    if (gather && !ahead) gathered = add_gather(blocks, i, output);
    if (gather && ahead && i + 1 < n) next_gathered = add_gather(blocks, i + 1, output);
    const bool forward = kind == models::Phase::forward;
    here_ = {.position = static_cast<std::int16_t>(i),
             .list = forward ? models::OpList::forward : models::OpList::backward,
             .op = 0};
    const int mine = add_list(list(block, kind), output, gathered, kind);
    if (mine >= 0 && kind != models::Phase::weight_grad) output = mine;
    if (reduce && !block.reduce.ops.empty()) {
      here_.list = models::OpList::reduce;
      int last = static_cast<int>(ops_.size()) - 1;
      while (last > 0 && ops_[at(last)].stream != Stream::compute) --last;
      add_list(block.reduce, last, output, models::Phase::backward);
      if (!dp.reduce_overlap) output = static_cast<int>(ops_.size()) - 1;
    }
    gathered = next_gathered;
  }
}

PassCost pass_cost(const PricedProgram& priced, const Play& play, const OpSums& work) {
  PassCost cost;
  cost.work = work;
  cost.parts = work.compute;
  cost.parts[Part::slowdown] += play.slowdown.value;
  for (int stream = 0; stream < models::kStreams; ++stream)
    cost.parts[exposed_part(static_cast<Stream>(stream), priced.sharded)] += play.exposed[at(stream)].value;
  cost.parts[Part::host] += play.exposed_host.value;
  // Transfers that go on after the pass are exposed in the play, not here.
  cost.tail = (play.makespan - play.main_end).value;
  cost.parts[exposed_part(Stream::dp_comm, priced.sharded)] -= cost.tail;
  cost.time = cost.parts.total();
  return cost;
}

void PassCost::add(const PassCost& other, double times) {
  time += times * other.time;
  tail += times * other.tail;
  parts.add(other.parts, times);
  work.add(other.work, times);
}

ChunkPasses passes_of(const ChunkCost& cost) {
  const auto time = [](const PassCost& pass) { return PassTime{pass.time, pass.tail}; };
  return {.forward = time(cost.forward),
          .backward = time(cost.backward),
          .input_grad = time(cost.input_grad),
          .weight_grad = time(cost.weight_grad),
          .first_forward = time(cost.first_forward),
          .last_backward = time(cost.last_backward),
          .merged = time(cost.merged)};
}

ChunkTable passes_of(const ChunkCosts& costs) {
  ChunkTable table{.distinct = {}, .index = costs.index};
  for (const ChunkCost& cost : costs.distinct) table.distinct.push_back(passes_of(cost));
  return table;
}

double data_parallel_time(const PricedProgram& priced, const models::ChunkProgram& chunk, models::Phase kind,
                          bool edge) {
  const bool gather = models::gathers(priced.program().data_parallel, kind, edge);
  const bool reduce = models::reduces(priced.program().data_parallel, kind, edge);
  double time = 0;
  for (const models::BlockRun& run : chunk.blocks) {
    const PricedBlock& block = priced.blocks[at(run.block)];
    if (gather) time += run.count * block.gather.all().comm;
    if (reduce) time += run.count * block.reduce.all().comm;
  }
  return time;
}

bool merges(const PricedProgram& priced, const models::ChunkProgram& chunk) {
  if (!priced.program().traits.ep_overlap) return false;
  return std::ranges::any_of(chunk.blocks,
                             [&](const models::BlockRun& run) { return priced.blocks[at(run.block)].exchange; });
}

std::vector<std::int16_t> pass_blocks(const models::ChunkProgram& chunk, bool backward, std::span<const int> lengths) {
  std::vector<std::int16_t> blocks;
  for (std::size_t i = 0; i < chunk.blocks.size(); ++i)
    blocks.insert(blocks.end(), at(lengths[i]), chunk.blocks[i].block);
  if (backward) std::ranges::reverse(blocks);
  return blocks;
}

}  // namespace sim
