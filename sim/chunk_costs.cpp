// Passes over chunks, played op by op.
#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "sim/chunk_play.h"

namespace sim {
namespace {

/// Blocks of each run of a chunk that are played.
using RunLengths = std::vector<int>;

/// Cost of a pass whose runs are cut to `most` blocks; each longer one goes on as the second half of those did.
template <typename Cut>
PassCost extrapolated(const models::ChunkProgram& chunk, int most, const Cut& cut) {
  const int half = most / 2;
  RunLengths lengths;
  for (const models::BlockRun& run : chunk.blocks) lengths.push_back(std::min<int>(run.count, most));
  const PassCost played = cut(lengths);
  PassCost cost = played;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const int left = chunk.blocks[i].count - most;
    if (left <= 0) continue;
    RunLengths shorter = lengths;
    shorter[i] = half;
    PassCost steady = played;
    steady.add(cut(shorter), -1);
    cost.add(steady, static_cast<double>(left) / (most - half));
  }
  cost.tail = std::max(cost.tail, 0.0);
  // A transfer that further blocks hide more of shrinks down to nothing, not below.
  for (double& value : cost.parts.seconds) value = std::max(value, 0.0);
  // What was played may end before the lead that the host gained at a slow block (loss, say) is used up.
  cost.parts[Part::host] += std::max(0.0, cost.work.host - cost.parts.total());
  cost.time = cost.parts.total();
  return cost;
}

/// What is played: a kind of pass of a microbatch, the step's first or last where data-parallel transfers are at its
/// edge, or a merged pair.
enum class Played : std::int16_t { forward, backward, input_grad, weight_grad, merged };

class PassPlayer {
 public:
  /// `known`: what was played before, if that is kept.
  PassPlayer(const PricedProgram& priced, const models::ChunkProgram& chunk, int most_blocks,
             PlayedPasses* known = nullptr, PlayedPasses* steady = nullptr)
      : priced_(priced), chunk_(chunk), most_blocks_(most_blocks), known_(known), steady_(steady) {}

  PassCost pass(models::Phase kind, bool edge) const {
    const models::DataParallel& dp = priced_.program().data_parallel;
    const bool transfers = models::gathers(dp, kind, edge) || models::reduces(dp, kind, edge);
    PassCost cost = extrapolated(chunk_, most_blocks_, [&](const RunLengths& lengths) {
      return remembered(static_cast<Played>(kind), edge, transfers, lengths, [&] {
        LaneBuilder lane(priced_);
        lane.add_pass(pass_blocks(chunk_, kind != models::Phase::forward, lengths), kind, edge);
        const Lane ops(lane.ops());
        return pass_cost(priced_, play({&ops, 1}, priced_.sharing, false), lane.work());
      });
    });
    if (!edge) hold_for_transfers(cost, kind);
    return cost;
  }

  PassCost merged() const {
    const models::DataParallel& dp = priced_.program().data_parallel;
    const bool transfers = models::gathers(dp, models::Phase::forward, false) ||
                           models::gathers(dp, models::Phase::backward, false) ||
                           models::reduces(dp, models::Phase::backward, false);
    return extrapolated(chunk_, most_blocks_, [&](const RunLengths& lengths) {
      return remembered(Played::merged, false, transfers, lengths, [&] { return play_merged(lengths); });
    });
  }

 private:
  PassCost play_merged(const RunLengths& lengths) const {
    const double host = priced_.model.efficiency().merged_host_factor;
    LaneBuilder forward(priced_, host), backward(priced_, host);
    forward.add_pass(pass_blocks(chunk_, false, lengths), models::Phase::forward, false);
    backward.add_pass(pass_blocks(chunk_, true, lengths), models::Phase::backward, false);
    const Lane lanes[] = {forward.ops(), backward.ops()};
    OpSums work = forward.work();
    work.add(backward.work());
    return pass_cost(priced_, play(lanes, priced_.sharing, false), work);
  }

  template <typename Play>
  PassCost remembered(Played what, bool edge, bool transfers, const RunLengths& lengths, const Play& play) const {
    PlayedPasses* known = transfers ? known_ : steady_;
    if (!known) return play();
    PlayedPasses::Key key{static_cast<std::int16_t>(what), edge};
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      key.push_back(chunk_.blocks[i].block);
      key.push_back(static_cast<std::int16_t>(lengths[i]));
    }
    auto& plays = known->plays();
    const auto found = plays.find(key);
    if (found != plays.end()) return found->second;
    return plays.emplace(std::move(key), play()).first->second;
  }

  /// A pass lasts no shorter than its transfers, or they would pile up over the microbatches.
  void hold_for_transfers(PassCost& cost, models::Phase kind) const {
    const double behind = data_parallel_time(priced_, chunk_, kind, false) - cost.time;
    if (behind <= 0) return;
    cost.time += behind;
    cost.parts[exposed_part(models::Stream::dp_comm, priced_.sharded)] += behind;
  }

  const PricedProgram& priced_;
  const models::ChunkProgram& chunk_;
  int most_blocks_;                ///< of a run, played
  PlayedPasses *known_, *steady_;  ///< of passes with and without data-parallel transfers
};

ChunkCost chunk_cost(const PassPlayer& player, const PricedProgram& priced, const models::ChunkProgram& chunk) {
  const models::DataParallel& dp = priced.program().data_parallel;
  const bool split = splits_backward(priced.program().layout.schedule);
  const models::Phase last = split ? models::Phase::weight_grad : models::Phase::backward;
  ChunkCost cost;
  cost.forward = player.pass(models::Phase::forward, false);
  cost.backward = player.pass(models::Phase::backward, false);
  if (split) {
    cost.input_grad = player.pass(models::Phase::input_grad, false);
    cost.weight_grad = player.pass(models::Phase::weight_grad, false);
  }
  cost.first_forward =
      models::gathers(dp, models::Phase::forward, true) ? player.pass(models::Phase::forward, true) : cost.forward;
  cost.last_backward = split ? cost.weight_grad : cost.backward;
  if (models::gathers(dp, last, true) || models::reduces(dp, last, true)) cost.last_backward = player.pass(last, true);
  if (merges(priced, chunk)) cost.merged = player.merged();
  return cost;
}

/// Blocks of a run that are played.
int most_blocks(const PricedProgram& priced, Tier tier) {
  // Copies of activations and the second lane of merged passes make themselves felt over more blocks.
  const bool far = priced.copies || priced.program().traits.ep_overlap;
  return tier == Tier::events || far ? 16 : 8;
}

}  // namespace

ChunkCosts chunk_costs(const PricedProgram& priced, Tier tier) {
  const int most = most_blocks(priced, tier);
  return by_chunk(priced.program(), [&](const models::ChunkProgram& chunk) {
    return chunk_cost(PassPlayer(priced, chunk, most), priced, chunk);
  });
}

ChunkPasses least_passes(const PricedProgram& priced, const models::ChunkProgram& chunk) {
  const auto compute = [](const OpSums& work) { return work.compute.total(); };
  double forward = 0, input_grad = 0, weight_grad = 0;
  for (const models::BlockRun& run : chunk.blocks) {
    const PricedBlock& block = priced.blocks[static_cast<std::size_t>(run.block)];
    forward += run.count * (compute(block.forward.work[0]) + compute(block.forward.work[1]));
    input_grad += run.count * compute(block.backward.work[0]);
    weight_grad += run.count * compute(block.backward.work[1]);
  }
  const auto held = [&](double work, models::Phase kind) {
    return PassTime{.time = std::max(work, data_parallel_time(priced, chunk, kind, false))};
  };
  const double both = forward + input_grad + weight_grad;
  return {.forward = held(forward, models::Phase::forward),
          .backward = held(input_grad + weight_grad, models::Phase::backward),
          .input_grad = {input_grad},
          .weight_grad = {weight_grad},
          .first_forward = {},
          .last_backward = {},
          .merged = {merges(priced, chunk) ? both : 0}};
}

namespace {

PlayedPasses::Key key_of(const PricedProgram& priced, const models::ChunkProgram& chunk) {
  PlayedPasses::Key key{priced.program().traits.ep_overlap};
  for (const models::BlockRun& run : chunk.blocks) {
    key.push_back(run.block);
    key.push_back(run.count);
  }
  return key;
}

}  // namespace

const ChunkPasses& PlayedPasses::of(const PricedProgram& priced, const models::ChunkProgram& chunk,
                                    PlayedPasses& steady) {
  Key key = key_of(priced, chunk);
  const auto found = chunks_.find(key);
  if (found != chunks_.end()) return found->second;
  const PassPlayer player(priced, chunk, most_blocks(priced, Tier::closed_form), this, &steady);
  return chunks_.emplace(std::move(key), passes_of(chunk_cost(player, priced, chunk))).first->second;
}

const ChunkPasses& PlayedPasses::steady(const PricedProgram& priced, const models::ChunkProgram& chunk) {
  Key key = key_of(priced, chunk);
  const auto found = chunks_.find(key);
  if (found != chunks_.end()) return found->second;
  const PassPlayer player(priced, chunk, most_blocks(priced, Tier::closed_form), nullptr, this);
  ChunkCost cost;
  cost.forward = player.pass(models::Phase::forward, false);
  cost.backward = player.pass(models::Phase::backward, false);
  if (merges(priced, chunk)) cost.merged = player.merged();
  return chunks_.emplace(std::move(key), passes_of(cost)).first->second;
}

}  // namespace sim
