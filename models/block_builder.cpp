#include "models/block_builder.h"

#include <algorithm>
#include <string_view>

namespace models {
namespace {

// Framework ops that the host issues per program op, forward. They add up to what was counted for eager Megatron: GQA
// attention 16, MLP 8, MoE 34 and launches per local expert, +4 per quantised linear (docs/cost_model.md).
constexpr float kHostPointwise = 1, kHostLinear = 3, kHostCast = 4, kHostCollective = 1;

}  // namespace

BlockBuilder::BlockBuilder(const BlockContext& context, Block& block) : context_(context), block_(block) {
  block_.tensors.reserve(192);
  block_.weights.reserve(16);
  block_.forward.reserve(64);
}

TensorId BlockBuilder::tensor(const char* name, TensorKind kind, hw::DType dtype, std::int64_t rows,
                              std::int64_t columns) {
  block_.tensors.push_back({.name = name, .kind = kind, .dtype = dtype, .rows = rows, .columns = columns});
  return static_cast<TensorId>(block_.tensors.size() - 1);
}

TensorId BlockBuilder::activation(const char* name, std::int64_t rows, std::int64_t columns) {
  return tensor(name, TensorKind::activation, context_.storage, rows, columns);
}

TensorId BlockBuilder::weight(const char* name, std::int64_t rows, std::int64_t columns, Weight weight) {
  const TensorId id = tensor(name, TensorKind::weight, context_.storage, rows, columns);
  block_.tensors.back().frozen = !context_.training_weights;
  BlockParameters& parameters = block_.parameters;
  const bool expert = weight.experts > 0;
  // Another use of a weight adds nothing where the rank has it already.
  const bool counted =
      weight.shared == nullptr || (context_.holds_embedding && std::string_view(weight.shared) == kEmbeddingTable);
  const double count = counted ? at(id).elements() : 0;
  (expert ? parameters.expert : parameters.dense) += count;
  if (context_.training_weights) (expert ? parameters.trainable_expert : parameters.trainable_dense) += count;
  weight.tensor = id;
  block_.weights.push_back(weight);
  return id;
}

Op& BlockBuilder::add(const char* name, const Work& work, std::initializer_list<TensorId> reads,
                      std::initializer_list<TensorId> writes, float host_ops) {
  block_.forward.push_back({.name = name,
                            .work = work,
                            .stream = compute_,
                            .module = module_,
                            .graphed = graphed_,
                            .host_ops = host_ops,
                            .reads = reads,
                            .writes = writes,
                            .needs = {}});
  return block_.forward.back();
}

TensorId BlockBuilder::pointwise(const char* name, const Pointwise& work, std::initializer_list<TensorId> reads,
                                 std::int64_t columns) {
  const Tensor& x = at(*reads.begin());
  const TensorId y = activation(name, x.rows, columns == 0 ? x.columns : columns);
  add(name, work, reads, {y}, kHostPointwise);
  return y;
}

void BlockBuilder::share_columns(TensorId id, std::int64_t columns) {
  if (!context_.traits().splits_are_views) return;
  block_.tensors[static_cast<std::size_t>(id)].shared_columns = columns;
}

void BlockBuilder::carry(const char* name, TensorId id) {
  block_.carried.push_back({.name = name, .tensor = id});
  block_.tensors[static_cast<std::size_t>(id)].kept = true;  // there until the last block behind has run backward
}

TensorId BlockBuilder::carried(const char* name, std::int64_t rows, std::int64_t columns) {
  const TensorId id = tensor(name, TensorKind::input, context_.storage, rows, columns);
  block_.tensors.back().shared_columns = columns;  // it lies where it was made
  block_.carried.push_back({.name = name, .tensor = id});
  return id;
}

TensorId BlockBuilder::norm(const char* name, TensorId x, std::int64_t columns) {
  const Module outer = module_;
  const Model& model = context_.model();
  // Megatron-Core's recompute module "layernorm" is that of a layer's two norms, not of a head or an MTP projection.
  const bool of_layer = outer != Module::mla_up_proj && outer != Module::head && outer != Module::mtp;
  if (of_layer) module_ = Module::layernorm;
  const bool shifted = model.norm == Norm::layer && model.norm_bias;
  const TensorId w = weight(
      name, shifted ? 2 : 1, columns > 0 ? columns : at(x).columns,
      {.init = shifted ? WeightInit::norm_and_shift : WeightInit::one, .summed_over_tp = context_.sequence_parallel()});
  const TensorId y = pointwise(
      name,
      {.kind = PointwiseKind::norm, .function = Function::norm, .norm = model.norm, .epsilon = model.norm_epsilon},
      {x, w});
  module_ = outer;
  return y;
}

TensorId BlockBuilder::residual(TensorId y, TensorId x) {
  const Traits& traits = context_.traits();
  TensorId added = y;
  if (traits.dropout > 0) {
    const TensorId mask = tensor("dropout_mask", TensorKind::activation, hw::DType::boolean, at(y).rows, at(y).columns);
    added = activation("dropped", at(y).rows, at(y).columns);
    add("dropout", Pointwise{.kind = PointwiseKind::dropout}, {y}, {added, mask}, kHostPointwise);
  }
  return pointwise("residual", {.kind = PointwiseKind::residual, .function = Function::add}, {added, x});
}

TensorId BlockBuilder::quantise(TensorId x) {
  if (context_.matmul == context_.storage || at(x).dtype == context_.matmul) return x;
  const TensorId y = tensor("quantised", TensorKind::activation, context_.matmul, at(x).rows, at(x).columns);
  // Row-wise and column-wise copies for the two matmuls that read it; per-tensor scaling reads twice (amax first).
  const float passes = context_.matmul == hw::DType::fp8 ? 2.0F : 4.0F / 3;
  add("cast", Pointwise{.kind = PointwiseKind::cast, .passes = passes}, {x}, {y}, kHostCast);
  return y;
}

TensorId BlockBuilder::add_adapter(const Linear& linear, TensorId x, TensorId y) {
  const LoraSpec& lora = *context_.run.lora;
  const std::int64_t rows = at(y).rows;
  const bool tp = context_.layout().tp > 1;
  const bool by_input = linear.split == TpSplit::input, by_output = linear.split == TpSplit::output;
  const auto trained = [&](const char* name, std::int64_t height, std::int64_t width, const Weight& weight) {
    const TensorId id = this->weight(name, height, width, weight);
    if (!context_.training_weights) {
      block_.tensors.back().frozen = false;
      block_.parameters.trainable_dense += at(id).elements();
    }
    return id;
  };
  Weight down{.cut = by_input, .by_columns = by_input, .decayed = true, .summed_over_tp = tp && by_output};
  if (by_input) down.parts = {{linear.in * context_.layout().tp, static_cast<int>(linear.in * context_.layout().tp)}};
  Weight up{.cut = by_output, .init = WeightInit::zero, .decayed = true, .summed_over_tp = tp && by_input};
  if (by_output) up.parts = linear_weight(linear).parts;
  const TensorId a = trained(linear.lora_a, lora.rank, linear.in, down);
  const TensorId b = trained(linear.lora_b, linear.out, lora.rank, up);
  const hw::DType type = context_.storage;
  const TensorId low = activation("lora_hidden", rows, lora.rank);
  add("lora_a", Gemm{.m = rows, .n = lora.rank, .k = linear.in, .operand = type, .output = type}, {x, a}, {low},
      kHostLinear);
  const TensorId added = activation("lora_out", rows, linear.out);
  add("lora_b",
      Gemm{.m = rows,
           .n = linear.out,
           .k = lora.rank,
           .operand = type,
           .output = type,
           .scale = lora.alpha / static_cast<double>(lora.rank)},
      {low, b}, {added}, kHostLinear);
  return pointwise("lora_add", {.kind = PointwiseKind::residual, .function = Function::add}, {y, added});
}

Weight BlockBuilder::linear_weight(const Linear& linear) const {
  Weight weight{.decayed = true, .summed_over_tp = linear.on_shard && context_.sequence_parallel()};
  weight.shared = linear.shared;
  if (linear.split == TpSplit::none) return weight;
  weight.cut = true;
  weight.by_columns = linear.split == TpSplit::input;
  weight.parts = linear.parts;
  const std::int64_t whole = (weight.by_columns ? linear.in : linear.out) * context_.layout().tp;
  if (weight.parts.empty()) weight.parts = {{whole, static_cast<int>(whole)}};
  return weight;
}

TensorId BlockBuilder::linear(const Linear& linear, TensorId x) {
  const TensorId input = linear.quantise ? quantise(x) : x;
  const std::int64_t rows = at(input).rows;
  const TensorId y = activation(linear.name, rows, linear.out);
  const Weight weight_of = linear_weight(linear);
  const TensorId w = weight(linear.name, linear.out, linear.in, weight_of);
  const bool quantised = linear.quantise && context_.matmul != context_.storage;
  if (quantised) block_.parameters.quantised_dense += at(w).elements();
  TensorId bias = kNoTensor;
  if (linear.bias != nullptr) {
    Weight bias_of{.init = WeightInit::zero, .summed_over_tp = weight_of.summed_over_tp};
    if (linear.split == TpSplit::output) {
      bias_of.cut = bias_of.by_columns = true;
      bias_of.parts = weight_of.parts;
    }
    bias = weight(linear.bias, 1, linear.out, bias_of);
  }
  const std::int64_t part = linear.out / linear.copies;
  for (std::int64_t copy = 0; copy < linear.copies; ++copy) {
    const bool last = copy + 1 == linear.copies;
    Op& op = add(linear.name,
                 Gemm{.m = rows,
                      .n = last ? linear.out - copy * part : part,
                      .k = linear.in,
                      .operand = quantised ? context_.matmul : context_.storage,
                      .output = context_.storage,
                      .first = copy * part,
                      .row_parallel = linear.split == TpSplit::input},
                 {input, w}, {y}, kHostLinear);
    if (bias != kNoTensor) op.reads.push_back(bias);
  }
  return linear.lora_a != nullptr && context_.run.lora ? add_adapter(linear, x, y) : y;
}

TensorId BlockBuilder::enter_tp(TensorId x) {
  const Layout& layout = context_.layout();
  if (layout.tp == 1) return x;
  if (!context_.sequence_parallel()) {
    const TensorId y = tensor("tp_input", TensorKind::activation, at(x).dtype, at(x).rows, at(x).columns);
    add("tp_copy", TpCopy{}, {x}, {y}, 0);
    return y;
  }
  const TensorId y = tensor("gathered", TensorKind::activation, at(x).dtype, at(x).rows * layout.tp, at(x).columns);
  Op& op = add("tp_all_gather",
               Collective{.kind = CollectiveKind::all_gather, .group = GroupKind::tp, .payload = at(y).bytes()}, {x},
               {y}, kHostCollective);
  op.stream = Stream::tp_comm;
  return y;
}

TensorId BlockBuilder::leave_tp(TensorId y) {
  const Layout& layout = context_.layout();
  if (layout.tp == 1) return y;
  const bool scatter = context_.sequence_parallel();
  const TensorId out = activation("tp_reduced", scatter ? at(y).rows / layout.tp : at(y).rows, at(y).columns);
  Op& op = add(scatter ? "tp_reduce_scatter" : "tp_all_reduce",
               Collective{.kind = scatter ? CollectiveKind::reduce_scatter : CollectiveKind::all_reduce,
                          .group = GroupKind::tp,
                          .payload = at(y).bytes()},
               {y}, {out}, kHostCollective);
  op.stream = Stream::tp_comm;
  return out;
}

}  // namespace models
