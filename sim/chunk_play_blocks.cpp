// Blocks played alone and put together by formulas: the `closed_form` tier.
#include <algorithm>

#include "sim/chunk_play.h"

namespace sim {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// One list of a block among its neighbours.
struct BlockKey {
  int block = -1;
  PassKind kind = PassKind::forward;
  int reduced = -1;   ///< block whose gradients are reduced beside it
  int gathered = -1;  ///< block whose parameters are gathered beside it
  bool operator==(const BlockKey&) const = default;
};

struct BlockCost {
  PassCost steady;   ///< with the host far ahead, or at its pace where it has to wait for the device
  double cold = 0;   ///< s from an idle machine with its host at the first op
  double host = 0;   ///< s that the host works on it
};

/// Plays blocks and remembers.
class BlockPlays {
 public:
  explicit BlockPlays(const PricedProgram& priced) : priced_(priced) {}

  const BlockCost& cost(const BlockKey& key) {
    for (const auto& [known, result] : known_)
      if (known == key) return result;
    return known_.emplace_back(key, play_block(key)).second;
  }
  /// Forward and backward of the block side by side; in a run each further one costs `next`.
  struct Merged {
    PassCost first, next;
  };
  const Merged& merged(int block);

  const PricedProgram& priced() const { return priced_; }

 private:
  BlockCost play_block(const BlockKey& key) const;
  void add(LaneBuilder& lane, const BlockKey& key, int after) const;
  PassCost play_lane(const LaneBuilder& lane, const BlockKey& key, bool host) const;

  const PricedProgram& priced_;
  std::vector<std::pair<BlockKey, BlockCost>> known_;
  std::vector<std::pair<int, Merged>> merged_;
};

void BlockPlays::add(LaneBuilder& lane, const BlockKey& key, int after) const {
  const models::DataParallel& dp = priced_.program().data_parallel;
  const PricedBlock& block = priced_.blocks[at(key.block)];
  int gathered = -1;
  if (key.reduced >= 0 && dp.reduce_overlap)
    lane.add_list(priced_.blocks[at(key.reduced)].reduce, after, -1, PassKind::backward);
  if (key.gathered >= 0) {
    const PricedList& gather = priced_.blocks[at(key.gathered)].gather;
    lane.add_list(gather, after, -1, PassKind::backward);
    // Not ahead: its own gather, which it waits for.
    if (!(dp.prefetch && dp.gather_overlap) && !gather.ops.empty()) gathered = static_cast<int>(lane.ops().size()) - 1;
  }
  const PricedList& list = key.kind == PassKind::forward ? block.forward : block.backward;
  const int output = lane.add_list(list, after, gathered, key.kind);
  if (key.reduced >= 0 && !dp.reduce_overlap) lane.add_list(block.reduce, output, -1, PassKind::backward);
}

PassCost BlockPlays::play_lane(const LaneBuilder& lane, const BlockKey& key, bool host) const {
  std::vector<PlayedOp> eager;
  Lane ops(lane.ops());
  if (!host && lane.work().host > 0) {
    eager = lane.ops();
    for (PlayedOp& op : eager) op.host = {};
    ops = eager;
  }
  PassCost cost = pass_cost(priced_, play({&ops, 1}, priced_.sharing, false), lane.work());
  const bool reduces_after = key.reduced >= 0 && !priced_.program().data_parallel.reduce_overlap;
  if (key.gathered >= 0 || reduces_after) {  // the next block waits for them
    cost.parts[exposed_part(models::Stream::dp_comm, priced_.sharded)] += cost.tail;
    cost.time += cost.tail;
  }
  cost.tail = 0;
  return cost;
}

BlockCost BlockPlays::play_block(const BlockKey& key) const {
  const PricedBlock& block = priced_.blocks[at(key.block)];
  LaneBuilder lane(priced_);
  add(lane, key, -1);
  BlockCost result;
  result.host = lane.work().host;
  if ((key.kind == PassKind::forward ? block.forward : block.backward).sync) {
    // The host cannot run far ahead: what a second block adds to a first one.
    const PassCost once = play_lane(lane, key, true);
    add(lane, key, static_cast<int>(lane.ops().size()) - 1);
    result.steady = play_lane(lane, key, true);
    result.steady.add(once, -1);
    result.cold = once.time;
    result.host = result.steady.time;
    return result;
  }
  result.steady = play_lane(lane, key, false);
  result.cold = result.host > 0 ? play_lane(lane, key, true).time : result.steady.time;
  return result;
}

const BlockPlays::Merged& BlockPlays::merged(int block) {
  for (const auto& [known, result] : merged_)
    if (known == block) return result;
  const PricedBlock& priced = priced_.blocks[at(block)];
  LaneBuilder forward(priced_), backward(priced_);
  const auto longer = [&] {
    const int before = static_cast<int>(forward.ops().size()), behind = static_cast<int>(backward.ops().size());
    forward.add_list(priced.forward, before - 1, -1, PassKind::forward);
    backward.add_list(priced.backward, behind - 1, -1, PassKind::backward);
    const Lane lanes[] = {forward.ops(), backward.ops()};
    OpSums work = forward.work();
    work.add(backward.work());
    return pass_cost(priced_, play(lanes, priced_.sharing, false), work);
  };
  Merged result{.first = longer(), .next = longer()};
  result.next.add(result.first, -1);
  return merged_.emplace_back(block, result).second;
}

/// Blocks one after another behind one host: the device ends block i no earlier than it can after block i - 1, nor
/// earlier than `cold` after the host came to it.
struct Chain {
  PassCost cost;
  double device = 0, host = 0;

  void add(const BlockCost& block, int count) {
    if (count <= 0) return;
    cost.add(block.steady, count);
    const double step = block.steady.time;
    const double behind_host = host + block.cold + (count - 1) * std::max(step, block.host);
    device = std::max(device + count * step, behind_host);
    host += count * block.host;
  }
  PassCost finish() {
    const double waits = device - cost.time;
    cost.parts[Part::host] += waits;
    cost.time += waits;
    return cost;
  }
};

class ChunkFormula {
 public:
  ChunkFormula(BlockPlays& plays, const models::ChunkProgram& chunk) : plays_(plays), chunk_(chunk) {}

  PassCost pass(PassKind kind) const;
  /// `steady` as the step's first forward or last backward.
  PassCost edge(PassCost steady, PassKind kind) const;
  PassCost merged() const;

 private:
  const models::DataParallel& dp() const { return plays_.priced().program().data_parallel; }
  Part part() const { return exposed_part(models::Stream::dp_comm, plays_.priced().sharded); }
  /// Run i in execution order.
  const models::BlockRun& run(int i, PassKind kind) const {
    return chunk_.blocks[at(kind == PassKind::forward ? i : static_cast<int>(chunk_.blocks.size()) - 1 - i)];
  }

  BlockPlays& plays_;
  const models::ChunkProgram& chunk_;
};

PassCost ChunkFormula::pass(PassKind kind) const {
  const bool gather = gathers(dp(), kind, false), reduce = reduces(dp(), kind, false);
  const bool ahead = dp().prefetch && dp().gather_overlap;
  const int runs = static_cast<int>(chunk_.blocks.size());
  Chain chain;
  int before = -1;
  for (int i = 0; i < runs; ++i) {
    const models::BlockRun& now = run(i, kind);
    // The last block gathers for the pass to come, which mostly begins with the block that this one began with.
    const int after = i + 1 < runs ? run(i + 1, kind).block : run(0, kind).block;
    const auto key = [&](int previous, int next) {
      return BlockKey{now.block, kind, reduce ? (dp().reduce_overlap ? previous : now.block) : -1,
                      gather ? (ahead ? next : now.block) : -1};
    };
    if (!gather && !reduce) {
      chain.add(plays_.cost(key(-1, -1)), now.count);
    } else if (now.count == 1) {
      chain.add(plays_.cost(key(before, after)), 1);
    } else {
      chain.add(plays_.cost(key(before, now.block)), 1);
      chain.add(plays_.cost(key(now.block, now.block)), now.count - 2);
      chain.add(plays_.cost(key(now.block, after)), 1);
    }
    before = now.block;
  }
  PassCost cost = chain.finish();
  const double behind = data_parallel_time(plays_.priced(), chunk_, kind, false).all - cost.time;
  if (behind > 0) {
    cost.parts[part()] += behind;
    cost.time += behind;
  }
  return cost;
}

PassCost ChunkFormula::edge(PassCost steady, PassKind kind) const {
  const DataParallelTime once = data_parallel_time(plays_.priced(), chunk_, kind, true);
  const double always = data_parallel_time(plays_.priced(), chunk_, kind, false).all;
  const double share = std::max(plays_.priced().sharing.nic_sm_share, plays_.priced().sharing.nvlink_sm_share);
  if (kind != PassKind::forward) {
    steady.tail = once.last_reduce;
    const double behind = once.all - always - steady.time;
    if (behind > 0) steady.tail = std::max(steady.tail, behind);
    if (always == 0) {  // slowed by transfers that the steady pass does not have
      const double slowed = share * std::min(once.all - once.last_reduce, steady.time);
      steady.parts[Part::slowdown] += slowed;
      steady.time += slowed;
    }
    return steady;
  }
  double shown = once.first_gather;
  if (always == 0) {
    const double behind = once.all - once.first_gather;
    const double slowed = share * std::min(behind, steady.time);
    shown += std::max(behind - steady.time - slowed, 0.0);
    steady.parts[Part::slowdown] += slowed;
    steady.time += slowed;
  }
  steady.parts[part()] += shown;
  steady.time += shown;
  return steady;
}

PassCost ChunkFormula::merged() const {
  PassCost cost;
  for (const models::BlockRun& run : chunk_.blocks) {
    const auto& block = plays_.merged(run.block);
    cost.add(block.first);
    cost.add(block.next, run.count - 1);
  }
  return cost;
}

ChunkCost chunk_cost(BlockPlays& plays, const models::ChunkProgram& chunk) {
  const PricedProgram& priced = plays.priced();
  const models::DataParallel& dp = priced.program().data_parallel;
  const ChunkFormula formula(plays, chunk);
  const bool split = splits_backward(priced.program().layout.schedule);
  const PassKind last = split ? PassKind::weight_grad : PassKind::backward;
  ChunkCost cost;
  cost.forward = formula.pass(PassKind::forward);
  cost.backward = formula.pass(PassKind::backward);
  if (split) {
    cost.input_grad = formula.pass(PassKind::input_grad);
    cost.weight_grad = formula.pass(PassKind::weight_grad);
  }
  cost.first_forward = cost.forward;
  if (gathers(dp, PassKind::forward, true)) cost.first_forward = formula.edge(cost.forward, PassKind::forward);
  cost.last_backward = split ? cost.weight_grad : cost.backward;
  if (gathers(dp, last, true) || reduces(dp, last, true)) cost.last_backward = formula.edge(cost.last_backward, last);
  if (merges(priced, chunk)) cost.merged = formula.merged();
  return cost;
}

}  // namespace

ChunkCosts chunk_costs_by_blocks(const PricedProgram& priced) {
  BlockPlays plays(priced);
  return distinct_chunks(priced.program(), [&](const models::ChunkProgram& chunk) { return chunk_cost(plays, chunk); });
}

}  // namespace sim
