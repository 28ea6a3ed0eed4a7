#pragma once

#include <cstdint>

#include "models/run.h"
#include "models/step_program.h"

namespace models {

/// What the forward graph of one block is written for: the run, and which numerics and traits this block has.
struct BlockContext {
  const Run& run;
  hw::DType storage = hw::DType::bf16;
  hw::DType matmul = hw::DType::bf16;  ///< operands of quantised linears; = storage where nothing is quantised
  bool training_weights = true;        ///< false: base weights are frozen (LoRA)
  std::int64_t tokens = 0;             ///< of one microbatch on one rank: mbs * seq / cp
  std::int64_t shard_tokens = 0;       ///< the same between TP regions: / tp under sequence parallelism

  const Layout& layout() const { return run.layout; }
  const Traits& traits() const { return run.traits; }
  const Model& model() const { return run.model; }
  bool sequence_parallel() const { return run.layout.sp && run.layout.tp > 1; }
};

/// A linear layer's operands and how TP splits it.
struct Linear {
  const char* name = "";
  std::int64_t in = 0, out = 0;  ///< local sizes, already divided by tp
  bool bias = false;
  bool quantise = true;     ///< runs in BlockContext::matmul
  bool adapter = false;     ///< carries a LoRA adapter
  std::int64_t copies = 1;  ///< equal linears of one input launched one by one (q, k, v apart), `out` split evenly
};

/// Writes the forward graph of one block. Operand order is what backward derivation relies on: Gemm reads {x, w} and
/// writes {y}; Attention reads {qkv} or {q, kv}, writes {o, lse}; Pointwise reads {x, second operand...}.
class BlockBuilder {
 public:
  BlockBuilder(const BlockContext& context, Block& block);

  TensorId tensor(const char* name, TensorKind kind, hw::DType dtype, std::int64_t rows, std::int64_t columns);
  TensorId activation(const char* name, std::int64_t rows, std::int64_t columns);
  TensorId weight(const char* name, std::int64_t rows, std::int64_t columns, bool expert = false);

  Op& add(const char* name, const Work& work, std::initializer_list<TensorId> reads,
          std::initializer_list<TensorId> writes, float host_ops);

  /// y = pointwise(x...); the result has x's rows and `columns` columns (0: x's).
  TensorId pointwise(const char* name, PointwiseKind kind, std::initializer_list<TensorId> reads, float passes = 1,
                     std::int64_t columns = 0);
  TensorId norm(const char* name, TensorId x);
  TensorId residual(TensorId y, TensorId x);
  /// Casts x to the matmul format where that differs from the storage format.
  TensorId quantise(TensorId x);
  /// y = x W (+ b) (+ LoRA).
  TensorId linear(const Linear& linear, TensorId x);
  /// Into a tensor-parallel region: all-gather of the sequence shard, or nothing (backward: all-reduce).
  TensorId enter_tp(TensorId x);
  /// Out of it: reduce-scatter to the sequence shard, or all-reduce.
  TensorId leave_tp(TensorId y);

  /// The last `columns` of `id` lie in another tensor's memory (step_program.h), where the stack's splits are views.
  void share_columns(TensorId id, std::int64_t columns);

  void set_module(Module module) { module_ = module; }
  void set_graphed(bool graphed) { graphed_ = graphed; }
  void set_stream(Stream compute) { compute_ = compute; }

  const BlockContext& context() const { return context_; }
  const Tensor& at(TensorId id) const { return block_.tensors[static_cast<std::size_t>(id)]; }
  Block& block() { return block_; }

 private:
  TensorId add_adapter(const Linear& linear, TensorId x, TensorId y);

  const BlockContext& context_;
  Block& block_;
  Module module_ = Module::attention;
  Stream compute_ = Stream::compute;
  bool graphed_ = false;
};

}  // namespace models
