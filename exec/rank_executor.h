#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "exec/block_plan.h"
#include "exec/communicator.h"
#include "exec/device.h"
#include "exec/parameters.h"
#include "exec/rank_grid.h"
#include "exec/token_source.h"
#include "exec/transport.h"
#include "models/expand.h"
#include "models/run.h"

namespace exec {

/// Communicators of one rank by the ranks that they join: made by whoever knows the transport.
using MakeCommunicator =
    std::function<std::unique_ptr<Communicator>(int id, const std::string& name, const std::vector<int>& ranks)>;

struct StepResult {
  double loss = 0;           ///< mean over the global batch, with MTP's share
  double gradient_norm = 0;  ///< before clipping
  std::size_t peak_bytes = 0;
};

/// Runs the step program of one rank. Everything that decides what runs when, on which stream and buffers and with
/// whom is here; a Device runs single ops.
class RankExecutor {
 public:
  /// All of them must live longer. Throws std::invalid_argument for a program that it cannot run.
  RankExecutor(const models::Run& run, const models::StepProgram& program, Device& device, Transport& transport,
               const MakeCommunicator& communicators);

  /// One step on sequences step * gbs ... of the source: forward, backward, reduction, and optimizer.
  StepResult step(std::int64_t step, const TokenSource& tokens);

  /// Makes all weights of this rank the newest: ZeRO-1 may gather them only when the next step begins.
  void gather_weights();
  Parameters& parameters() { return parameters_; }
  const RankGrid& grid() const { return grid_; }
  /// Squared L2 norms of the last step's gradients by full name, of the elements that this rank counts: the sum over
  /// ranks is the whole parameter's.
  const std::map<std::string, double>& gradient_squares_of_step() const { return squares_; }
  /// Element by element over all ranks.
  std::vector<double> sum_over_ranks(const std::vector<double>& values);

 private:
  /// Of one block and microbatch.
  struct Tensors {
    std::vector<View> views;  ///< by TensorId
    std::shared_ptr<ExpertRouting> routing = {};

    View& operator[](models::TensorId id) { return views[static_cast<std::size_t>(id)]; }
  };
  struct Saved {
    std::vector<Tensors> blocks;            ///< of a chunk, in order
    std::map<std::string, View> carried;    ///< by models::Carried::name
    std::map<std::string, View> gradients;  ///< of the carried ones, of the blocks that have run backward
  };

  /// A collective of data parallelism.
  struct Transfer {
    const models::Op* op = nullptr;
    std::int64_t id = -1;
  };

  Communicator& communicator(models::GroupKind kind);
  const models::Block& block(const BlockInstance& instance) const {
    return program_.blocks[static_cast<std::size_t>(instance.block)];
  }
  const PassPlan& plan(std::int16_t block, models::Phase phase);

  // One task
  void run_task(const models::PipelineTask& task, int index);
  void forward(const models::PipelineTask& task, int index);
  void backward(const models::PipelineTask& task, int index);
  void weight_gradients(const models::PipelineTask& task, int index);
  void run_pass(const BlockInstance& instance, models::Phase phase, Tensors& tensors, std::int64_t task, int position);
  void run_op(const BlockInstance& instance, const models::Op& op, const PassPlan::Step& step, Tensors& tensors,
              std::int64_t id);
  View operand(const BlockInstance& instance, models::TensorId id, Tensors& tensors);
  View new_tensor(const models::Tensor& tensor, const Tensors& tensors);
  void exchange_counts(ExpertRouting& routing);
  void fill_data(const BlockInstance& instance, const models::PipelineTask& task, Tensors& tensors);
  void fill_tokens(const models::Tensor& tensor, std::int64_t first_sequence, const View& to) const;
  void fill_patches(const models::Tensor& tensor, std::int64_t first_sequence, const View& to) const;
  void take_carried(const models::Block& block, const Saved& saved, Tensors& tensors) const;
  void keep_carried(const models::Block& block, Tensors& tensors, Saved& saved) const;
  void take_carried_gradients(const models::Block& block, Saved& saved, Tensors& tensors);
  void keep_carried_gradients(const models::Block& block, Tensors& tensors, Saved& saved) const;
  View receive(int chunk, const models::PipelineTask& task, bool forward);
  void send(int chunk, const models::PipelineTask& task, bool forward, const View& x);
  int pipeline_tag(int chunk, int microbatch, bool forward) const;

  // Data parallelism and the end of a step
  std::vector<std::size_t> used_groups(const BlockInstance& instance) const;
  std::vector<Transfer> transfers(const BlockInstance& instance, models::OpList list, std::int64_t task,
                                  int position) const;
  static Transfer take(std::vector<Transfer>& left, models::GroupKind kind);
  Transfer take(std::vector<Transfer>& left, models::GroupKind kind, std::size_t group, models::OpList list) const;
  void launch_collective(const Transfer& transfer, const View& from, const View& to);
  void begin_gathers(const models::PipelineTask& task, int index, int position, int count);
  void begin_gather(const BlockInstance& instance, std::int64_t task, int position, bool gathers);
  void gather_states(std::size_t group, std::vector<Transfer>& left);
  void end_gather(const BlockInstance& instance);
  void release_gathered(int chunk);
  void begin_gradients(const BlockInstance& instance);
  void reduce_after(const BlockInstance& instance, const models::PipelineTask& task, int index, int position);
  bool reduces_late() const;
  bool last_task_of_chunk(const models::PipelineTask& task, int index) const;
  void reduce(const BlockInstance& instance, bool last, std::int64_t task, int position);
  void reduce_shard(std::size_t group, std::vector<Transfer>& left);
  void finish_gradients();
  void share_embedding_gradient();
  void exchange(int rank, const View& mine, const View& theirs, std::size_t bytes);
  void sum_over_tp();
  bool counts(const ParameterGroup& group, const Parameter& parameter) const;
  std::map<std::string, double> gradient_squares();
  double gradient_norm();
  void update(std::int64_t step, double norm);

  const models::Run& run_;
  const models::StepProgram& program_;
  Device& device_;
  Transport& transport_;
  RankGrid grid_;
  RankFacts facts_;
  Parameters parameters_;
  models::RankProgram rank_program_;
  hw::DType dtype_;
  std::array<std::unique_ptr<Communicator>, models::kGroups> groups_;
  std::unique_ptr<Communicator> world_;
  std::map<std::pair<std::int16_t, models::Phase>, PassPlan> plans_;
  std::array<View, 2> pipeline_buffers_;  ///< what arrives from before and from behind

  // Of the step under way
  const TokenSource* tokens_ = nullptr;
  std::int64_t step_ = 0;
  double loss_ = 0;
  std::map<std::string, double> squares_;
  std::map<std::pair<int, int>, Saved> saved_;  ///< by chunk and microbatch
  std::map<std::pair<int, int>, View> handed_;  ///< between chunks of one rank
  struct Sending {
    Request request;
    std::vector<std::byte> bytes;
  };
  std::vector<Sending> sending_;
};

}  // namespace exec
