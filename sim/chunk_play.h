#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "hw/units.h"
#include "models/expand.h"
#include "models/step_program.h"
#include "sim/breakdown.h"
#include "sim/by_chunk.h"
#include "sim/cost.h"
#include "sim/op_player.h"
#include "sim/pipeline.h"
#include "sim/prediction.h"

/// From ops to chunks: prices the ops of a program's blocks once, chains blocks to lanes and plays them.
namespace sim {

/// What ops take if nothing waits: sums over a list of them.
struct OpSums {
  Parts compute;                              ///< ops that take compute, by part
  std::array<double, hw::kOrigins> origin{};  ///< s of all ops, by what their price rests on
  double ideal = 0;                           ///< s of compute ops at datasheet speed
  double host = 0, comm = 0;                  ///< s of the host; s of transfers

  void add(const OpSums& other, double times = 1);
};

/// The ops of one list of a block with their prices, ready to be played. `work[1]` is that of the weight gradients.
struct PricedList {
  std::vector<PlayedOp> ops;
  std::vector<char> weight_gradient;  ///< by op
  std::array<OpSums, 2> work;
  bool splits = false;          ///< has weight gradients
  int output = -1;              ///< the op that writes what the next block reads
  hw::Seconds host_after = {};  ///< host time that the op issued next bears (sim/coalesce.h)

  OpSums all() const;
};

struct PricedBlock {
  PricedList forward, backward, gather, reduce;
  PricedList joined_forward, joined_backward;  ///< the first two with fewer ops, if PricedProgram::join() was called
  bool exchange = false;                       ///< tokens go to experts on other ranks
};

struct PricedProgram {
  PricedProgram(const CostModel& model);
  /// Prices parameter gathers and gradient reductions again: for another data parallelism of the same blocks.
  void price_data_parallel();
  /// Makes the lists of fewer ops that searches play (sim/coalesce.h).
  void join();

  const CostModel& model;
  std::vector<PricedBlock> blocks;  ///< by block id
  Sharing sharing;
  bool copies = false;   ///< activations go to host memory and back
  bool sharded = false;  ///< parameters are sharded (FSDP)
  bool joined = false;   ///< join() was called

  const models::StepProgram& program() const { return model.program(); }
};

/// Where an op of a lane comes from: for timelines.
struct LaneOp {
  std::int16_t position;  ///< of the block in the pass, in execution order
  models::OpList list;
  std::int16_t op;  ///< in the block's list
};

/// Chains the ops of blocks to one lane. The ops of a block that need none of it wait for the output of the block
/// before. Block i + 1 is gathered while block i computes (prefetch depth 1: nothing hides a pass's first gather),
/// block i is reduced while block i + 1 does.
class LaneBuilder {
 public:
  /// `host_factor`: host time per op relative to an eager pass on its own.
  explicit LaneBuilder(const PricedProgram& priced, double host_factor = 1)
      : priced_(priced), host_factor_(host_factor) {}

  /// Appends a pass over `blocks`, in execution order. `edge` as in models::gathers(). A forward or whole backward on
  /// its own is built of joined ops where there are any.
  void add_pass(std::span<const std::int16_t> blocks, models::Phase kind, bool edge);
  /// Appends one list whose sources wait for op `after` and op `gathered` of the lane (-1: for none). Returns the index
  /// in the lane of its output, or its last op.
  int add_list(const PricedList& list, int after, int gathered, models::Phase kind);

  const std::vector<PlayedOp>& ops() const { return ops_; }
  const std::vector<LaneOp>& origins() const { return origins_; }
  const OpSums& work() const { return work_; }

 private:
  const PricedList& list(const PricedBlock& block, models::Phase kind) const;
  void reserve(std::span<const std::int16_t> blocks, models::Phase kind);
  int add_gather(std::span<const std::int16_t> blocks, int position, int after);

  const PricedProgram& priced_;
  double host_factor_;
  std::vector<PlayedOp> ops_;
  std::vector<LaneOp> origins_;
  std::vector<std::int16_t> place_;  ///< of the current list's ops in the lane
  OpSums work_;
  int before_ = -1;        ///< what the list added last waited for
  hw::Seconds host_owed_;  ///< PricedList::host_after of the list before
  LaneOp here_{};          ///< what is being added
};

/// What one pass over a chunk costs on its device.
struct PassCost {
  double time = 0;  ///< s that it holds the device: parts.total()
  double tail = 0;  ///< s that data-parallel transfers go on after it
  Parts parts;
  OpSums work;

  void add(const PassCost& other, double times = 1);
};

/// All passes of one chunk.
struct ChunkCost {
  PassCost forward, backward, input_grad, weight_grad;
  PassCost first_forward, last_backward;  ///< with the transfers of once a step; else as the steady ones
  PassCost merged;                        ///< forward and backward of two microbatches side by side; time 0: never
};

using ChunkCosts = ByChunk<ChunkCost>;

/// How long a pass holds the device, and how long its data-parallel transfers go on after it.
struct PassTime {
  double time = 0, tail = 0;
};

/// The same of all passes of a chunk, as in ChunkCost.
struct ChunkPasses {
  PassTime forward, backward, input_grad, weight_grad, first_forward, last_backward, merged;
};
using ChunkTable = ByChunk<ChunkPasses>;
ChunkPasses passes_of(const ChunkCost& cost);
ChunkTable passes_of(const ChunkCosts& costs);

/// s of data-parallel transfers of a pass.
double data_parallel_time(const PricedProgram& priced, const models::ChunkProgram& chunk, models::Phase kind,
                          bool edge);

/// Play as the cost of a pass. Its time is until the last op that is not data-parallel; `work` fills the compute parts.
PassCost pass_cost(const PricedProgram& priced, const Play& play, const OpSums& work);

/// True where forwards and backwards of different microbatches run together, to hide expert exchange.
bool merges(const PricedProgram& priced, const models::ChunkProgram& chunk);

/// By playing passes op by op. Of a longer run of equal blocks only the first 16 are played, by `Tier::closed_form` 8
/// if nothing reaches further: they are in steady state by then, and each more costs what one of the second half did.
ChunkCosts chunk_costs(const PricedProgram& priced, Tier tier);

/// What the passes of a chunk take at least: the work of its ops on compute, and of its data-parallel transfers.
ChunkPasses least_passes(const PricedProgram& priced, const models::ChunkProgram& chunk);

/// Passes of priced blocks that were played, by the closed-form tier: of one data parallelism, or of none where passes
/// have no such transfers.
class PlayedPasses {
 public:
  /// All passes of one chunk, played where they are not known yet.
  ///   steady  where those are kept that have no data-parallel transfers
  const ChunkPasses& of(const PricedProgram& priced, const models::ChunkProgram& chunk, PlayedPasses& steady);
  /// Of a chunk whose steady passes have no data-parallel transfers, those alone.
  const ChunkPasses& steady(const PricedProgram& priced, const models::ChunkProgram& chunk);

  /// What was played: kind of pass, blocks and how many of each.
  using Key = std::vector<std::int16_t>;
  std::map<Key, PassCost>& plays() { return plays_; }

 private:
  std::map<Key, ChunkPasses> chunks_;
  std::map<Key, PassCost> plays_;
};

/// Blocks of a pass in execution order, each run of the chunk cut to its entry of `lengths`.
std::vector<std::int16_t> pass_blocks(const models::ChunkProgram& chunk, bool backward, std::span<const int> lengths);

}  // namespace sim
