#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "exec/device.h"
#include "exec/parameter.h"
#include "exec/rank_grid.h"
#include "models/run.h"

namespace exec {

/// Parameters of one block that are replicated or sharded alike, side by side in one buffer: trained ones first.
struct ParameterGroup {
  bool expert = false;
  std::vector<Parameter> parameters;
  std::int64_t trained = 0;                           ///< elements, padded to a multiple of `shards`
  std::int64_t total = 0;                             ///< likewise
  models::GroupKind over = models::GroupKind::dp_cp;  ///< ranks that hold the same parameters
  int shards = 1, index = 0;                          ///< over which states (and with FSDP weights) are divided
  bool weights_sharded = false;
  bool late_gradients = false;  ///< memory for them comes with the step's first backward pass (FSDP)

  bool newest = true;  ///< ZeRO-1: `weights` holds what all ranks' optimizers made
  int users = 0;       ///< FSDP: blocks that need `gathered`, when every pass gathers

  View weights;                        ///< [total], or this rank's shard
  View gathered;                       ///< FSDP: [total] while in use
  View gradients;                      ///< [trained], or this rank's shard
  View whole_gradients;                ///< FSDP: [trained] during a backward pass
  View first_moments, second_moments;  ///< of the owned elements
  View master;                         ///< fp32 weights of the owned elements, where `weights` are rounded ones
  hw::DType gathered_type = hw::DType::fp32, gradient_type = hw::DType::fp32;

  /// Trained elements whose states this rank owns: [first, last).
  std::int64_t first_owned() const { return trained / shards * index; }
  std::int64_t owned() const { return trained / shards; }
};

/// Where a weight of a block lies.
struct ParameterPlace {
  std::size_t group = 0;
  std::size_t parameter = 0;
};

/// One block of one virtual stage of this rank.
struct BlockInstance {
  int chunk = 0, position = 0;
  std::int16_t block = 0;
  std::string path;                                    ///< `layer.3`
  std::map<models::TensorId, ParameterPlace> weights;  ///< shared ones lie in another block's group
  std::vector<std::size_t> groups;                     ///< that are this block's own
};

/// All parameters of one rank, with their gradients and optimizer states.
class Parameters {
 public:
  /// Allocates and initialises. Throws std::invalid_argument where a shared weight is not on this rank.
  Parameters(const models::Run& run, const models::StepProgram& program, const RankGrid& grid, Device& device);

  std::vector<BlockInstance>& blocks() { return blocks_; }
  BlockInstance& block(int chunk, int position) { return blocks_[index_.at({chunk, position})]; }
  std::vector<ParameterGroup>& groups() { return groups_; }
  /// The block whose weights are in the group.
  const BlockInstance& owner(std::size_t group) const;

  /// An uninitialised buffer.
  static View new_buffer(Device& device, std::int64_t elements, hw::DType dtype);
  View weight(const BlockInstance& block, models::TensorId tensor) const;
  View gradient(const BlockInstance& block, models::TensorId weight) const;

 private:
  void add_block(BlockInstance block);
  std::size_t own_group(const models::Run& run, const RankGrid& grid, BlockInstance& instance, bool expert);
  /// Its own weights, or those that it shares with other blocks.
  void add_weights(const models::Run& run, const models::StepProgram& program, const RankGrid& grid,
                   BlockInstance& instance, bool shared);
  ParameterGroup new_group(const models::Run& run, const RankGrid& grid, bool expert) const;
  void lay_out(ParameterGroup& group) const;
  void allocate(ParameterGroup& group, Device& device, const models::Run& run) const;
  void initialise(ParameterGroup& group, const models::TrainSpec& train) const;

  std::vector<BlockInstance> blocks_;
  std::vector<ParameterGroup> groups_;
  std::map<std::pair<int, int>, std::size_t> index_;  ///< of blocks_, by chunk and position
  std::map<std::string, ParameterPlace> by_name_;
};

}  // namespace exec
