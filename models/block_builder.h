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
  bool holds_embedding = false;        ///< BlockVariant::holds_embedding
  std::int64_t tokens = 0;             ///< of one microbatch on one rank: mbs * seq / cp
  std::int64_t shard_tokens = 0;       ///< the same between TP regions: / tp under sequence parallelism

  const Layout& layout() const { return run.layout; }
  const Traits& traits() const { return run.traits; }
  const Model& model() const { return run.model; }
  /// Of statistics and probabilities: fp32, or fp64 where everything is.
  hw::DType wide() const { return storage == hw::DType::fp64 ? hw::DType::fp64 : hw::DType::fp32; }
  bool sequence_parallel() const { return run.layout.sp && run.layout.tp > 1; }
};

/// How TP divides a linear layer: not at all, by its output (column-parallel) or by its input (row-parallel).
enum class TpSplit { none, output, input };

struct Linear {
  const char* name = "";
  std::int64_t in = 0, out = 0;  ///< local sizes, already divided by tp
  TpSplit split = TpSplit::none;
  InlineVector<WeightPart, 5> parts = {};           ///< of the whole output where it is more than one piece (q, k, v)
  const char* bias = nullptr;                       ///< its name, if there is one
  bool quantise = true;                             ///< runs in BlockContext::matmul
  const char *lora_a = nullptr, *lora_b = nullptr;  ///< names of its LoRA adapter's weights, if it carries one
  std::int64_t copies =
      1;  ///< equal linears of one input launched one by one (q, k, v apart), `out` split evenly, the rest in the last
  bool on_shard = false;         ///< works on the sequence shard: its gradient is summed over TP
  const char* shared = nullptr;  ///< as Weight::shared
};

/// Writes the forward graph of one block. Operand order is what backward derivation relies on: Gemm reads {x, w} and
/// writes {y}; Attention reads {qkv} or {q, kv}, writes {o, lse}; Pointwise reads {x, second operand..., weights...}.
class BlockBuilder {
 public:
  BlockBuilder(const BlockContext& context, Block& block);

  TensorId tensor(const char* name, TensorKind kind, hw::DType dtype, std::int64_t rows, std::int64_t columns);
  TensorId activation(const char* name, std::int64_t rows, std::int64_t columns);
  /// A parameter [rows, columns], as this rank holds it; `weight.tensor` is filled in.
  TensorId weight(const char* name, std::int64_t rows, std::int64_t columns, Weight weight = {});

  Op& add(const char* name, const Work& work, std::initializer_list<TensorId> reads,
          std::initializer_list<TensorId> writes, float host_ops);

  /// y = pointwise(x...); the result has x's rows and `columns` columns (0: x's).
  TensorId pointwise(const char* name, const Pointwise& work, std::initializer_list<TensorId> reads,
                     std::int64_t columns = 0);
  /// Norm of the first `columns` columns (0: all); the others pass unchanged.
  TensorId norm(const char* name, TensorId x, std::int64_t columns = 0);
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

  /// Later blocks may read `id` by that name.
  void carry(const char* name, TensorId id);
  /// What an earlier block carries by that name.
  TensorId carried(const char* name, std::int64_t rows, std::int64_t columns);

  void set_module(Module module) { module_ = module; }
  void set_graphed(bool graphed) { graphed_ = graphed; }
  void set_stream(Stream compute) { compute_ = compute; }

  const BlockContext& context() const { return context_; }
  const Tensor& at(TensorId id) const { return block_.tensors[static_cast<std::size_t>(id)]; }
  Block& block() { return block_; }

 private:
  TensorId add_adapter(const Linear& linear, TensorId x, TensorId y);
  Weight linear_weight(const Linear& linear) const;

  const BlockContext& context_;
  Block& block_;
  Module module_ = Module::attention;
  Stream compute_ = Stream::compute;
  bool graphed_ = false;
};

}  // namespace models
