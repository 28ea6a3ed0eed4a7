// Whole passes over chunks, op by op: the `events` tier.
#include <algorithm>
#include <vector>

#include "sim/chunk_play.h"

namespace sim {
namespace {

/// Blocks of each run of a chunk that are played.
using RunLengths = std::vector<int>;

/// Cost of a pass whose runs are cut to kMostBlocks blocks; each longer one goes on as its last half did.
template <typename Cut>
PassCost extrapolated(const models::ChunkProgram& chunk, const Cut& cut) {
  constexpr int kHalf = kMostBlocks / 2;
  RunLengths lengths;
  for (const models::BlockRun& run : chunk.blocks) lengths.push_back(std::min<int>(run.count, kMostBlocks));
  const PassCost played = cut(lengths);
  PassCost cost = played;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const int left = chunk.blocks[i].count - kMostBlocks;
    if (left <= 0) continue;
    RunLengths shorter = lengths;
    shorter[i] = kHalf;
    PassCost steady = played;
    steady.add(cut(shorter), -1);
    cost.add(steady, static_cast<double>(left) / (kMostBlocks - kHalf));
  }
  cost.tail = std::max(cost.tail, 0.0);
  // A transfer that further blocks hide more of shrinks down to nothing, not below.
  for (double& value : cost.parts.seconds) value = std::max(value, 0.0);
  cost.time = cost.parts.total();
  return cost;
}

class PassPlayer {
 public:
  PassPlayer(const PricedProgram& priced, const models::ChunkProgram& chunk) : priced_(priced), chunk_(chunk) {}

  PassCost pass(PassKind kind, bool edge) const {
    PassCost cost = extrapolated(chunk_, [&](const RunLengths& lengths) {
      LaneBuilder lane(priced_);
      lane.add_pass(pass_blocks(chunk_, kind != PassKind::forward, lengths), kind, edge);
      const Lane ops(lane.ops());
      return pass_cost(priced_, play({&ops, 1}, priced_.sharing, false), lane.work());
    });
    if (!edge) hold_for_transfers(cost, kind);
    return cost;
  }

  PassCost merged() const {
    return extrapolated(chunk_, [&](const RunLengths& lengths) {
      const double host = priced_.model.efficiency().merged_host_factor;
      LaneBuilder forward(priced_, host), backward(priced_, host);
      forward.add_pass(pass_blocks(chunk_, false, lengths), PassKind::forward, false);
      backward.add_pass(pass_blocks(chunk_, true, lengths), PassKind::backward, false);
      const Lane lanes[] = {forward.ops(), backward.ops()};
      OpSums work = forward.work();
      work.add(backward.work());
      return pass_cost(priced_, play(lanes, priced_.sharing, false), work);
    });
  }

 private:
  /// A pass lasts no shorter than its transfers, or they would pile up over the microbatches.
  void hold_for_transfers(PassCost& cost, PassKind kind) const {
    const double behind = data_parallel_time(priced_, chunk_, kind, false).all - cost.time;
    if (behind <= 0) return;
    cost.time += behind;
    cost.parts[exposed_part(models::Stream::dp_comm, priced_.sharded)] += behind;
  }

  const PricedProgram& priced_;
  const models::ChunkProgram& chunk_;
};

ChunkCost chunk_cost(const PricedProgram& priced, const models::ChunkProgram& chunk) {
  const models::DataParallel& dp = priced.program().data_parallel;
  const PassPlayer player(priced, chunk);
  const bool split = splits_backward(priced.program().layout.schedule);
  const PassKind last = split ? PassKind::weight_grad : PassKind::backward;
  ChunkCost cost;
  cost.forward = player.pass(PassKind::forward, false);
  cost.backward = player.pass(PassKind::backward, false);
  if (split) {
    cost.input_grad = player.pass(PassKind::input_grad, false);
    cost.weight_grad = player.pass(PassKind::weight_grad, false);
  }
  cost.first_forward = gathers(dp, PassKind::forward, true) ? player.pass(PassKind::forward, true) : cost.forward;
  cost.last_backward = split ? cost.weight_grad : cost.backward;
  if (gathers(dp, last, true) || reduces(dp, last, true)) cost.last_backward = player.pass(last, true);
  if (merges(priced, chunk)) cost.merged = player.merged();
  return cost;
}

}  // namespace

ChunkCosts chunk_costs_by_ops(const PricedProgram& priced) {
  return distinct_chunks(priced.program(),
                         [&](const models::ChunkProgram& chunk) { return chunk_cost(priced, chunk); });
}

}  // namespace sim
