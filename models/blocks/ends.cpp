#include "models/blocks/layer_parts.h"

namespace models {
namespace {

/// Rows of the vocabulary that one TP rank holds, padded as Megatron pads it.
std::int64_t local_vocab(const BlockContext& context) {
  const std::int64_t unit = context.model().vocab_divisor * context.layout().tp;
  return (context.model().vocab + unit - 1) / unit * unit / context.layout().tp;
}

WeightPart whole_vocab(const BlockContext& context) {
  const std::int64_t rows = local_vocab(context) * context.layout().tp;
  return {rows, static_cast<int>(rows)};
}

/// Rows of the embedding table for token ids of the batch; 0 for rows of other TP ranks.
TensorId look_up(BlockBuilder& b, const char* ids_name, const char* shared) {
  const BlockContext& context = b.context();
  const std::int64_t hidden = context.model().hidden;
  const TensorId ids = b.tensor(ids_name, TensorKind::data, hw::DType::int64, context.tokens, 1);
  Weight of{.cut = true, .parts = {whole_vocab(context)}, .decayed = true};
  of.shared = shared;
  const TensorId table = b.weight("embedding", local_vocab(context), hidden, of);
  const TensorId x = b.activation("embedded", context.tokens, hidden);
  // The table itself is read row by row: the kernel moves the rows that it writes.
  b.add("embedding", Pointwise{.kind = PointwiseKind::embedding, .passes = 2, .function = Function::embedding},
        {ids, table}, {x}, 2);
  return x;
}

}  // namespace

TensorId embedding_part(BlockBuilder& b) {
  const BlockContext& context = b.context();
  b.set_module(Module::embedding);
  const TensorId x = b.leave_tp(look_up(b, "ids", nullptr));
  if (context.model().position != Position::learned) return x;
  const TensorId table = b.weight("positions", context.model().learned_positions, context.model().hidden,
                                  {.decayed = true, .summed_over_tp = context.sequence_parallel()});
  return b.pointwise("add_position", {.kind = PointwiseKind::residual, .function = Function::add_positions},
                     {x, table});
}

void head_part(BlockBuilder& b, TensorId x, const char* labels_name) {
  const BlockContext& context = b.context();
  const Traits& traits = context.traits();
  b.set_module(Module::head);
  const TensorId n = b.enter_tp(b.norm("final_norm", x));
  const bool tied = context.model().tied_embeddings, mtp = b.block().kind == BlockKind::mtp;
  const TensorId logits = b.linear({.name = "logits",
                                    .in = context.model().hidden,
                                    .out = local_vocab(context),
                                    .split = TpSplit::output,
                                    .parts = {whole_vocab(context)},
                                    .quantise = traits.fp8_output_proj,
                                    .shared = tied  ? kEmbeddingTable
                                              : mtp ? kHeadLogits
                                                    : nullptr},
                                   n);
  const std::int64_t rows = b.at(logits).rows;
  const TensorId labels = b.tensor(labels_name, TensorKind::data, hw::DType::int64, rows, 1);
  TensorId statistics = kNoTensor;
  if (context.layout().tp > 1) {
    const TensorId mine = b.tensor("loss_statistics", TensorKind::activation, context.wide(), rows, 3);
    b.add("loss_statistics", Pointwise{.kind = PointwiseKind::loss, .function = Function::loss_statistics},
          {logits, labels}, {mine}, 3);
    statistics = b.tensor("all_statistics", TensorKind::activation, context.wide(), rows * context.layout().tp, 3);
    b.add("loss_all_gather",
          Collective{.kind = CollectiveKind::all_gather, .group = GroupKind::tp, .payload = b.at(statistics).bytes()},
          {mine}, {statistics}, 3)
        .stream = Stream::tp_comm;
  }
  const TensorId softmax = b.tensor("softmax", TensorKind::activation, context.wide(), rows, b.at(logits).columns);
  const TensorId losses = b.tensor("token_losses", TensorKind::activation, context.wide(), rows, 1);
  // Fused cross-entropy touches its operands once; the unfused one (torch in fp32) casts, subtracts, exponentiates and
  // normalises in kernels of their own, 16 bytes an element.
  Op& loss = b.add(
      "loss",
      Pointwise{
          .kind = PointwiseKind::loss, .passes = traits.fused_loss ? 1.0F : 16.0F / 6, .function = Function::loss},
      {logits, labels}, {softmax, losses}, 8);
  if (statistics != kNoTensor) loss.reads.push_back(statistics);
  if (traits.narrow_loss) {
    b.share_columns(softmax, b.at(softmax).columns / 2);
  } else if (!traits.fused_loss) {
    // torch: the caller's reference keeps the logits beside the log-softmax until backward has ended.
    b.block().tensors[static_cast<std::size_t>(logits)].kept = true;
  }
}

TensorId mtp_projection(BlockBuilder& b, TensorId x) {
  const BlockContext& context = b.context();
  const std::int64_t hidden = context.model().hidden;
  b.set_module(Module::embedding);
  const TensorId next = b.leave_tp(look_up(b, "next_ids", kEmbeddingTable));
  b.set_module(Module::mtp);
  const TensorId e = b.norm("embedding_norm", next);
  const TensorId h = b.norm("hidden_norm", x);
  const TensorId joined = b.pointwise("concatenate", {.function = Function::concatenate}, {e, h}, 2 * hidden);
  const std::int64_t out = hidden / context.layout().tp;
  const TensorId y =
      b.linear({.name = "mtp_projection", .in = 2 * hidden, .out = out, .split = TpSplit::output}, b.enter_tp(joined));
  if (context.layout().tp == 1) return y;
  // Column-parallel with gathered output, then back to the sequence shard.
  const TensorId whole = b.activation("mtp_hidden", b.at(x).rows, hidden);
  const bool scattered = context.sequence_parallel();
  b.add(scattered ? "tp_all_to_all" : "tp_all_gather",
        Collective{.kind = scattered ? CollectiveKind::all_to_all : CollectiveKind::all_gather,
                   .group = GroupKind::tp,
                   .payload = scattered ? b.at(y).bytes() : b.at(whole).bytes(),
                   .heads = {.pieces = {static_cast<std::int32_t>(hidden)}, .to_heads = false}},
        {y}, {whole}, 1)
      .stream = Stream::tp_comm;
  return whole;
}

}  // namespace models
