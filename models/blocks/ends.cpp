#include "models/blocks/layer_parts.h"

namespace models {
namespace {

/// Rows of the vocabulary that one TP rank holds, padded as Megatron pads it.
std::int64_t local_vocab(const BlockContext& context) {
  const std::int64_t unit = context.model().vocab_divisor * context.layout().tp;
  return (context.model().vocab + unit - 1) / unit * unit / context.layout().tp;
}

}  // namespace

TensorId embedding_part(BlockBuilder& b) {
  const BlockContext& context = b.context();
  const std::int64_t hidden = context.model().hidden;
  b.set_module(Module::embedding);
  const TensorId ids = b.tensor("ids", TensorKind::activation, hw::DType::int64, context.tokens, 1);
  b.weight("embedding", local_vocab(context), hidden);
  TensorId x = b.activation("embedded", context.tokens, hidden);
  // The table itself is read row by row: the kernel moves the rows that it writes.
  b.add("embedding", Pointwise{.kind = PointwiseKind::embedding, .passes = 2}, {ids}, {x}, 2);
  x = b.leave_tp(x);
  if (context.model().position == Position::learned) {
    b.weight("positions", context.model().learned_positions, hidden);
    x = b.pointwise("add_position", PointwiseKind::residual, {x, x});
  }
  return x;
}

void head_part(BlockBuilder& b, TensorId x) {
  const BlockContext& context = b.context();
  const Traits& traits = context.traits();
  b.set_module(Module::head);
  const TensorId n = b.enter_tp(b.norm("final_norm", x));
  const TensorId logits = b.linear(
      {.name = "logits", .in = context.model().hidden, .out = local_vocab(context), .quantise = traits.fp8_output_proj},
      n);
  const TensorId softmax =
      b.tensor("softmax", TensorKind::activation, hw::DType::fp32, b.at(logits).rows, b.at(logits).columns);
  // Fused cross-entropy touches its operands once; the unfused one (torch in fp32) casts, subtracts, exponentiates and
  // normalises in kernels of their own, 16 bytes an element.
  b.add("loss", Pointwise{.kind = PointwiseKind::loss, .passes = traits.fused_loss ? 1.0F : 16.0F / 6}, {logits},
        {softmax}, 8);
  if (traits.narrow_loss) {
    b.share_columns(softmax, b.at(softmax).columns / 2);
  } else if (!traits.fused_loss) {
    // torch: the caller's reference keeps the logits beside the log-softmax until backward has ended.
    b.block().tensors[static_cast<std::size_t>(logits)].kept = true;
  }
  if (context.layout().tp > 1) {
    const TensorId sums = b.tensor("loss_sums", TensorKind::activation, hw::DType::fp32, b.at(logits).rows, 3);
    b.add("loss_all_reduce",
          Collective{.kind = CollectiveKind::all_reduce, .group = GroupKind::tp, .payload = b.at(sums).bytes()},
          {softmax}, {sums}, 3)
        .stream = Stream::tp_comm;
  }
}

TensorId mtp_projection(BlockBuilder& b, TensorId x) {
  const BlockContext& context = b.context();
  const std::int64_t hidden = context.model().hidden;
  b.set_module(Module::mtp);
  const TensorId next = b.tensor("next_embedding", TensorKind::input, context.storage, b.at(x).rows, hidden);
  const TensorId e = b.norm("embedding_norm", next);
  const TensorId h = b.norm("hidden_norm", x);
  const TensorId joined = b.pointwise("concatenate", PointwiseKind::other, {e, h}, 1, 2 * hidden);
  const std::int64_t out = hidden / context.layout().tp;
  const TensorId y = b.linear({.name = "mtp_projection", .in = 2 * hidden, .out = out}, b.enter_tp(joined));
  if (context.layout().tp == 1) return y;
  // Column-parallel with gathered output, then back to the sequence shard.
  const TensorId whole = b.activation("mtp_hidden", b.at(x).rows, hidden);
  b.add("tp_all_to_all",
        Collective{.kind = CollectiveKind::all_to_all, .group = GroupKind::tp, .payload = b.at(y).bytes()}, {y},
        {whole}, 1)
      .stream = Stream::tp_comm;
  return whole;
}

}  // namespace models
