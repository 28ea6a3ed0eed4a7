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
  double fetch = 0;  ///< s that it waits for copies from host memory if they start with it
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
  /// Forwards and backwards of `count` equal blocks side by side, from an idle machine to its end.
  const PassCost& merged(int block, int count);

  const PricedProgram& priced() const { return priced_; }

 private:
  BlockCost play_block(const BlockKey& key) const;
  void add(LaneBuilder& lane, const BlockKey& key, int after) const;
  PassCost play_lane(const LaneBuilder& lane, const BlockKey& key, bool host) const;
  double fetch_time(const LaneBuilder& lane) const;

  const PricedProgram& priced_;
  std::vector<std::pair<BlockKey, BlockCost>> known_;
  std::vector<std::pair<std::pair<int, int>, PassCost>> merged_;  ///< by block and count
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

/// s that a block takes longer for its copies, if they start with it.
double BlockPlays::fetch_time(const LaneBuilder& lane) const {
  std::vector<PlayedOp> ops = lane.ops();
  const auto time = [&] {
    const Lane changed(ops);
    return play({&changed, 1}, priced_.sharing, false).main_end.value;
  };
  const double with = time();
  for (PlayedOp& op : ops)
    if (op.stream == models::Stream::copy) op.time = {};
  return with - time();
}

PassCost BlockPlays::play_lane(const LaneBuilder& lane, const BlockKey& key, bool host) const {
  std::vector<PlayedOp> changed;
  Lane ops(lane.ops());
  const bool copies = std::ranges::any_of(ops, [](const PlayedOp& op) { return op.stream == models::Stream::copy; });
  if (copies || (!host && lane.work().host > 0)) {
    changed = lane.ops();
    for (PlayedOp& op : changed) {
      if (!host) op.host = {};
      // Copies to and from the host have other blocks to hide behind: ChunkFormula::pass compares their sum.
      if (op.stream == models::Stream::copy) op.time = {};
    }
    ops = changed;
  }
  PassCost cost = pass_cost(priced_, play({&ops, 1}, priced_.sharing, false), lane.work());
  const bool reduces_after = key.reduced >= 0 && !priced_.program().data_parallel.reduce_overlap;
  if (key.gathered >= 0 || reduces_after) {  // the next block waits for them
    cost.parts[exposed_part(models::Stream::dp_comm, priced_.sharded)] += cost.tail;
    cost.time += cost.tail;
    cost.tail = 0;
  }
  return cost;
}

BlockCost BlockPlays::play_block(const BlockKey& key) const {
  const PricedBlock& block = priced_.blocks[at(key.block)];
  LaneBuilder lane(priced_);
  add(lane, key, -1);
  BlockCost result;
  result.host = lane.work().host;
  if (priced_.copies && key.kind != PassKind::forward) result.fetch = fetch_time(lane);
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

const PassCost& BlockPlays::merged(int block, int count) {
  for (const auto& [known, result] : merged_)
    if (known == std::pair(block, count)) return result;
  const double host = priced_.model.efficiency().merged_host_factor;
  LaneBuilder forward(priced_, host), backward(priced_, host);
  const std::vector<std::int16_t> blocks(at(count), static_cast<std::int16_t>(block));
  forward.add_pass(blocks, PassKind::forward, false);
  backward.add_pass(blocks, PassKind::backward, false);
  const Lane lanes[] = {forward.ops(), backward.ops()};
  OpSums work = forward.work();
  work.add(backward.work());
  const PassCost cost = pass_cost(priced_, play(lanes, priced_.sharing, false), work);
  return merged_.emplace_back(std::pair(block, count), cost).second;
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

  PassCost pass(PassKind kind, bool edge) const;
  /// `steady` as the step's first forward or last backward.
  PassCost edge(const PassCost& steady, PassKind kind) const;
  PassCost merged() const;

 private:
  PassCost edge_by_formula(PassCost cost, PassKind kind) const;
  bool shares_links() const;
  double exposed_copies(PassKind kind, double pass_time) const;

  const models::DataParallel& dp() const { return plays_.priced().program().data_parallel; }
  Part part() const { return exposed_part(models::Stream::dp_comm, plays_.priced().sharded); }
  /// Run i in execution order.
  const models::BlockRun& run(int i, PassKind kind) const {
    return chunk_.blocks[at(kind == PassKind::forward ? i : static_cast<int>(chunk_.blocks.size()) - 1 - i)];
  }

  BlockPlays& plays_;
  const models::ChunkProgram& chunk_;
};

double copy_time(const PricedList& list) {
  double sum = 0;
  for (const PlayedOp& op : list.ops)
    if (op.stream == models::Stream::copy) sum += op.time.value;
  return sum;
}

/// Forward: copies to the host run beside all that follows. Backward: what a block needs comes back while the block
/// before computes.
double ChunkFormula::exposed_copies(PassKind kind, double pass_time) const {
  if (kind == PassKind::weight_grad) return 0;  // what it reads has come back for the input gradients
  double all = 0, waits = 0, before = 0;
  for (int i = 0; i < static_cast<int>(chunk_.blocks.size()); ++i) {
    const models::BlockRun& now = run(i, kind);
    const PricedBlock& block = plays_.priced().blocks[at(now.block)];
    const double copy = copy_time(kind == PassKind::forward ? block.forward : block.backward);
    all += now.count * copy;
    if (kind == PassKind::forward) continue;
    const BlockCost& own = plays_.cost({now.block, kind, -1, -1});
    waits += std::max(0.0, own.fetch - before) + (now.count - 1) * std::max(0.0, own.fetch - own.steady.time);
    before = own.steady.time;
  }
  return std::max(waits, all - pass_time);
}

PassCost ChunkFormula::pass(PassKind kind, bool edge) const {
  const bool gather = gathers(dp(), kind, edge), reduce = reduces(dp(), kind, edge);
  const bool ahead = dp().prefetch && dp().gather_overlap;
  const int runs = static_cast<int>(chunk_.blocks.size());
  Chain chain;
  int before = -1;
  for (int i = 0; i < runs; ++i) {
    const models::BlockRun& now = run(i, kind);
    // The last block gathers for the pass to come, which mostly begins with the block that this one began with.
    const int after = i + 1 < runs ? run(i + 1, kind).block : edge ? -1 : run(0, kind).block;
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
  const auto lasts = [&](double transfers, Part shown) {
    const double behind = std::max(0.0, transfers - cost.time);
    cost.parts[shown] += behind;
    cost.time += behind;
  };
  if (plays_.priced().copies) lasts(cost.time + exposed_copies(kind, cost.time), Part::exposed_copy);
  if (edge) return cost;
  lasts(data_parallel_time(plays_.priced(), chunk_, kind, false).all, part());
  cost.tail = 0;
  return cost;
}

/// True where other transfers of the pass may meet gathers and reductions on a link.
bool ChunkFormula::shares_links() const {
  return plays_.priced().program().layout.cp > 1 ||
         std::ranges::any_of(chunk_.blocks, [&](const models::BlockRun& run) {
           return plays_.priced().blocks[at(run.block)].exchange;
         });
}

PassCost ChunkFormula::edge(const PassCost& steady, PassKind kind) const {
  const DataParallelTime once = data_parallel_time(plays_.priced(), chunk_, kind, true);
  if (!shares_links()) return edge_by_formula(steady, kind);
  PassCost cost = pass(kind, true);
  if (kind != PassKind::forward) {
    cost.tail += once.last_reduce;
    return cost;
  }
  cost.parts[part()] += once.first_gather;
  cost.time += once.first_gather;
  return cost;
}

PassCost ChunkFormula::edge_by_formula(PassCost steady, PassKind kind) const {
  const DataParallelTime once = data_parallel_time(plays_.priced(), chunk_, kind, true);
  const double always = data_parallel_time(plays_.priced(), chunk_, kind, false).all;
  const double share = std::max(plays_.priced().sharing.nic_sm_share, plays_.priced().sharing.nvlink_sm_share);
  if (kind != PassKind::forward) {
    // A pass that its transfers hold up lasts until their end, but for the first block's compute before them.
    const bool held = always > 0 && steady.time <= always * (1 + 1e-9);
    steady.tail = held ? 0 : once.last_reduce;
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

/// Each block costs what a second and a third one add to a first one (two, because lanes may fall into step every other
/// block); what the first one shows at its ends, the chunk shows once.
PassCost ChunkFormula::merged() const {
  PassCost cost, ends;
  int exchanging = 0;  // blocks
  for (const models::BlockRun& run : chunk_.blocks)
    exchanging += plays_.priced().blocks[at(run.block)].exchange ? run.count : 0;
  for (const models::BlockRun& run : chunk_.blocks) {
    const PassCost first = plays_.merged(run.block, 1);
    if (exchanging == 1 || !plays_.priced().blocks[at(run.block)].exchange) {
      cost.add(first, run.count);
      continue;
    }
    PassCost next;
    next.add(plays_.merged(run.block, 3), 0.5);
    next.add(first, -0.5);
    cost.add(next, run.count);
    ends = first;
    ends.add(next, -1);
  }
  cost.add(ends);
  return cost;
}

ChunkCost chunk_cost(BlockPlays& plays, const models::ChunkProgram& chunk) {
  const PricedProgram& priced = plays.priced();
  const models::DataParallel& dp = priced.program().data_parallel;
  const ChunkFormula formula(plays, chunk);
  const bool split = splits_backward(priced.program().layout.schedule);
  const PassKind last = split ? PassKind::weight_grad : PassKind::backward;
  ChunkCost cost;
  cost.forward = formula.pass(PassKind::forward, false);
  cost.backward = formula.pass(PassKind::backward, false);
  if (split) {
    cost.input_grad = formula.pass(PassKind::input_grad, false);
    cost.weight_grad = formula.pass(PassKind::weight_grad, false);
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
