#include <algorithm>

#include "models/blocks/layer_parts.h"

namespace models {
namespace {

constexpr float kHostAttention = 4, kHostRing = 2;

/// Local query and key/value heads: key/value heads are replicated where tp exceeds them.
int local_heads(const BlockBuilder& b, int heads) { return std::max(1, heads / b.context().layout().tp); }

Mask mask_of(const AttentionSpec& spec, std::int64_t keys) {
  if (spec.window > 0 && spec.window < keys) return Mask::window;
  return spec.causal ? Mask::causal : Mask::full;
}

/// The attention op of all local heads over whole sequences; callers cut it for context parallelism.
Attention whole_attention(const BlockBuilder& b, const AttentionSpec& spec) {
  const BlockContext& context = b.context();
  // Of packs, each sub-sequence attends to itself alone.
  const std::int64_t tokens = context.layout().seq_len;
  const std::int64_t seq =
      context.run.packed_length > 0 ? std::min<std::int64_t>(context.run.packed_length, tokens) : tokens;
  const bool quantised = context.traits().fp8_attention && context.matmul != context.storage;
  return {.batch = context.layout().mbs * (tokens / seq),
          .queries = seq,
          .keys = seq,
          .heads = local_heads(b, spec.heads),
          .kv_heads = local_heads(b, spec.kv_heads),
          .qk_dim = spec.head_dim,
          .v_dim = spec.v_head_dim,
          .window = spec.window,
          .mask = mask_of(spec, seq),
          .causal = spec.causal,
          .operand = quantised ? context.matmul : context.storage,
          .backend = context.traits().attention};
}

std::int64_t kv_columns(const Attention& work) {
  return static_cast<std::int64_t>(work.kv_heads) * (work.qk_dim + work.v_dim);
}

/// Row statistics (log-sum-exp) that backward needs.
TensorId statistics(BlockBuilder& b, std::int64_t rows, int heads) {
  return b.tensor("lse", TensorKind::activation, b.context().wide(), rows, heads);
}

/// Columns of keys and values in `id`: the last ones.
ColumnRange key_columns(const BlockBuilder& b, TensorId id, const Attention& work) {
  return {.first = b.at(id).columns - kv_columns(work), .count = kv_columns(work)};
}

/// The attention op over `qkv` and, where it has them, the sinks of this rank's heads.
Op& add_core(BlockBuilder& b, const char* name, const Attention& work, std::initializer_list<TensorId> qkv,
             TensorId sinks, std::initializer_list<TensorId> writes) {
  Op& op = b.add(name, work, qkv, writes, kHostAttention);
  if (sinks != kNoTensor) op.reads.push_back(sinks);
  return op;
}

/// Ring attention (arXiv 2310.01889): cp steps, each over one rank's keys and values while the next ones travel. A
/// causal ring is balanced by pairing the head and the tail of the sequence, so each step but the first sees half.
TensorId ring_attention(BlockBuilder& b, Attention work, std::initializer_list<TensorId> qkv, TensorId sinks) {
  const int cp = b.context().layout().cp;
  const std::int64_t rows = b.at(*qkv.begin()).rows;
  const bool causal = work.mask == Mask::causal;
  work.queries /= cp;
  work.keys /= cp;
  TensorId out = b.activation("attention_out", rows, std::int64_t{work.heads} * work.v_dim);
  TensorId lse = statistics(b, rows, work.heads);
  add_core(b, "core", work, qkv, sinks, {out, lse});
  TensorId kv = *(qkv.end() - 1);
  Attention step = work;
  step.sinks = false;
  if (causal) {
    step.mask = Mask::full;
    step.keys = std::max<std::int64_t>(1, work.keys / 2);
  }
  for (int i = 1; i < cp; ++i) {
    const ColumnRange columns = key_columns(b, kv, work);
    const TensorId next = b.activation("ring_kv", rows, columns.count);
    b.add("ring_kv", SendRecv{.group = GroupKind::cp, .payload = b.at(next).bytes(), .columns = columns}, {kv}, {next},
          kHostRing)
        .stream = Stream::cp_comm;
    step.ring_step = static_cast<std::int8_t>(i);
    const TensorId partial = b.activation("attention_partial", rows, b.at(out).columns);
    const TensorId partial_lse = statistics(b, rows, work.heads);
    b.add("core_step", step, {*qkv.begin(), next}, {partial, partial_lse}, kHostAttention);
    const TensorId sum = b.activation("merge", rows, b.at(out).columns);
    const TensorId sum_lse = statistics(b, rows, work.heads);
    b.add("merge", Pointwise{.kind = PointwiseKind::residual, .function = Function::merge_attention},
          {out, lse, partial, partial_lse}, {sum, sum_lse}, 1);
    out = sum;
    lse = sum_lse;
    kv = next;
  }
  return out;
}

/// Keys and values of all ranks are gathered once; queries stay (Llama 3, arXiv 2407.21783, section 3.3.2).
TensorId gathered_attention(BlockBuilder& b, Attention work, std::initializer_list<TensorId> qkv, TensorId sinks) {
  const int cp = b.context().layout().cp;
  const std::int64_t rows = b.at(*qkv.begin()).rows;
  work.queries /= cp;
  work.all_keys = true;
  const ColumnRange columns = key_columns(b, *(qkv.end() - 1), work);
  const TensorId kv = b.activation("all_kv", rows * cp, columns.count);
  b.add(
       "cp_all_gather",
       Collective{
           .kind = CollectiveKind::all_gather, .group = GroupKind::cp, .payload = b.at(kv).bytes(), .columns = columns},
       {*(qkv.end() - 1)}, {kv}, 1)
      .stream = Stream::cp_comm;
  // The local queries are the head and the tail of the sequence, so on average half of the keys are visible.
  if (work.mask == Mask::causal) {
    work.mask = Mask::full;
    work.keys = std::max<std::int64_t>(1, work.keys / 2);
  }
  const TensorId out = b.activation("attention_out", rows, std::int64_t{work.heads} * work.v_dim);
  add_core(b, "core", work, {*qkv.begin(), kv}, sinks, {out, statistics(b, rows, work.heads)});
  return out;
}

/// Pieces of the columns that are each divided over the ranks: q, k and v heads.
HeadExchange exchange_heads(const Attention& work, bool fused, bool queries) {
  HeadExchange heads;
  if (queries) heads.pieces.push_back(work.heads * work.qk_dim);
  if (fused || !queries) {
    heads.pieces.push_back(work.kv_heads * work.qk_dim);
    heads.pieces.push_back(work.kv_heads * work.v_dim);
  }
  return heads;
}

/// Heads are exchanged for sequence before and after (DeepSpeed-Ulysses, arXiv 2309.14509).
TensorId ulysses_attention(BlockBuilder& b, Attention work, std::initializer_list<TensorId> qkv, TensorId sinks) {
  const int cp = b.context().layout().cp;
  InlineVector<TensorId, 3> exchanged;
  for (const TensorId part : qkv) {
    const TensorId all = b.activation("sequence_whole", b.at(part).rows * cp, b.at(part).columns / cp);
    b.add("cp_all_to_all",
          Collective{.kind = CollectiveKind::all_to_all,
                     .group = GroupKind::cp,
                     .payload = b.at(all).bytes(),
                     .heads = exchange_heads(work, qkv.size() == 1, part == *qkv.begin())},
          {part}, {all}, 1)
        .stream = Stream::cp_comm;
    exchanged.push_back(all);
  }
  work.heads = std::max(1, work.heads / cp);
  work.kv_heads = std::max(1, work.kv_heads / cp);
  work.all_keys = true;
  work.all_queries = true;
  const std::int64_t rows = b.at(exchanged[0]).rows;
  const TensorId mine = b.activation("attention_mine", rows, std::int64_t{work.heads} * work.v_dim);
  Op& op = b.add("core", work, {exchanged[0]}, {mine, statistics(b, rows, work.heads)}, kHostAttention);
  for (int i = 1; i < exchanged.size(); ++i) op.reads.push_back(exchanged[i]);
  if (sinks != kNoTensor) op.reads.push_back(sinks);
  const TensorId out = b.activation("attention_out", rows / cp, b.at(mine).columns * cp);
  b.add("cp_all_to_all",
        Collective{.kind = CollectiveKind::all_to_all,
                   .group = GroupKind::cp,
                   .payload = b.at(mine).bytes(),
                   .heads = {.pieces = {work.heads * work.v_dim * cp}, .to_heads = false}},
        {mine}, {out}, 1)
      .stream = Stream::cp_comm;
  return out;
}

/// One fused rotary kernel, or the unfused rotate-half: slices, products, concatenation.
TensorId rotate(BlockBuilder& b, TensorId x, const HeadColumns& columns) {
  const std::int64_t rotated = std::int64_t{columns.heads + columns.kv_heads} * columns.rotated;
  const float share = static_cast<float>(rotated) / static_cast<float>(b.at(x).columns);
  const float passes = b.context().traits().fused_rope ? share : 3 * share;
  return b.pointwise(
      "rope", {.kind = PointwiseKind::rope, .passes = passes, .function = Function::rotate, .detail = columns}, {x});
}

/// What unfused attention keeps of its S x S scores: probabilities, and with dropout its mask and result (5 bytes a
/// score: Korthikanti et al., arXiv 2205.05198, section 4.1).
void write_scores(BlockBuilder& b, const Attention& work) {
  const std::int64_t rows = work.batch * work.heads * work.queries;
  const TensorId probabilities = b.activation("probabilities", rows, work.keys);
  b.block().forward.back().writes.push_back(probabilities);
  if (b.context().traits().dropout <= 0) return;
  const TensorId mask = b.tensor("score_mask", TensorKind::activation, hw::DType::boolean, rows, work.keys);
  const TensorId dropped = b.activation("dropped_scores", rows, work.keys);
  b.block().forward.back().writes.push_back(mask);
  b.block().forward.back().writes.push_back(dropped);
}

}  // namespace

TensorId core_attention(BlockBuilder& b, const AttentionSpec& spec, std::initializer_list<TensorId> qkv) {
  b.set_module(Module::core_attention);
  Attention work = whole_attention(b, spec);
  const Layout& layout = b.context().layout();
  TensorId sinks = kNoTensor;
  if (spec.sinks) {
    Weight of{.cut = true, .by_columns = true, .init = WeightInit::zero};
    of.parts = {{spec.heads, spec.heads}};
    sinks = b.weight("sinks", 1, work.heads, of);
    work.sinks = true;
  }
  TensorId out = kNoTensor;
  if (layout.cp == 1) {
    const std::int64_t rows = b.at(*qkv.begin()).rows;
    out = b.activation("attention_out", rows, std::int64_t{work.heads} * work.v_dim);
    add_core(b, "core", work, qkv, sinks, {out, statistics(b, rows, work.heads)});
    if (work.backend == AttentionBackend::unfused) write_scores(b, work);
  } else {
    switch (layout.cp_kind) {
      case CpKind::ring: out = ring_attention(b, work, qkv, sinks); break;
      case CpKind::all_gather: out = gathered_attention(b, work, qkv, sinks); break;
      case CpKind::all_to_all: out = ulysses_attention(b, work, qkv, sinks); break;
    }
  }
  b.set_module(Module::attention);
  return out;
}

TensorId attention_part(BlockBuilder& b, const AttentionSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const Model& model = context.model();
  const HeadColumns heads{.heads = local_heads(b, spec.heads),
                          .kv_heads = local_heads(b, spec.kv_heads),
                          .head_dim = spec.head_dim,
                          .rotated = spec.head_dim,
                          .theta = model.rope_theta};
  const std::int64_t q = std::int64_t{heads.heads} * spec.head_dim;
  const std::int64_t kv = 2 * std::int64_t{heads.kv_heads} * spec.head_dim;
  const std::int64_t gate = spec.output_gate ? q : 0;
  const WeightPart whole_q{std::int64_t{spec.heads} * spec.head_dim, spec.heads};
  const WeightPart whole_kv{std::int64_t{spec.kv_heads} * spec.head_dim, spec.kv_heads};
  b.set_module(Module::attention);
  b.set_graphed(context.run.graph.attention || context.run.graph.layer);

  Linear in{.name = "qkv",
            .in = model.hidden,
            .out = q + kv + gate,
            .split = TpSplit::output,
            .parts = {whole_q, whole_kv, whole_kv},
            .bias = spec.qkv_bias ? "qkv_bias" : nullptr,
            .copies = context.traits().separate_qkv ? 3 : 1};
  if (gate > 0) in.parts.push_back(whole_q);
  if (context.run.lora && context.run.lora->qkv) in.lora_a = "qkv_lora_a", in.lora_b = "qkv_lora_b";
  TensorId qkv = b.linear(in, b.enter_tp(b.quantise(b.norm("attention_norm", x))));
  if (spec.qk_norm) {
    const TensorId w =
        b.weight("qk_norm", 2, spec.head_dim, {.init = WeightInit::one, .summed_over_tp = context.layout().tp > 1});
    const std::int64_t normed = q + kv / 2;
    const float share = static_cast<float>(normed) / static_cast<float>(q + kv + gate);
    // Values and gate pass unchanged: kept once, with the normed queries and keys.
    b.share_columns(qkv, kv / 2 + gate);
    qkv = b.pointwise("qk_norm",
                      {.kind = PointwiseKind::qk_norm,
                       .passes = share,
                       .function = Function::head_norm,
                       .epsilon = model.norm_epsilon,
                       .detail = heads},
                      {qkv, w});
  }
  if (model.position == Position::rotary) qkv = rotate(b, qkv, heads);
  TensorId out = core_attention(b, spec, {qkv});
  if (gate > 0) out = b.pointwise("output_gate", {.kind = PointwiseKind::scale}, {out, out});
  Linear last{.name = "attention_out",
              .in = b.at(out).columns,
              .out = model.hidden,
              .split = TpSplit::input,
              .bias = spec.out_bias ? "attention_out_bias" : nullptr};
  if (context.run.lora && context.run.lora->out)
    last.lora_a = "attention_out_lora_a", last.lora_b = "attention_out_lora_b";
  return b.residual(b.leave_tp(b.linear(last, out)), x);
}

TensorId mla_part(BlockBuilder& b, const AttentionSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const Mla& mla = *spec.mla;
  const std::int64_t hidden = context.model().hidden;
  const int heads = local_heads(b, spec.heads);
  b.set_module(Module::attention);
  b.set_graphed(context.run.graph.attention || context.run.graph.layer);

  // The down projections are small and replicated over TP: they work on the sequence shard.
  const TensorId n = b.quantise(b.norm("attention_norm", x));
  const TensorId kv_low =
      b.linear({.name = "kv_down", .in = hidden, .out = mla.kv_lora_rank + mla.qk_rope, .on_shard = true}, n);
  TensorId q_low = n;
  if (mla.q_lora_rank > 0)
    q_low = b.linear({.name = "q_down", .in = hidden, .out = mla.q_lora_rank, .on_shard = true}, n);
  b.set_module(Module::mla_up_proj);
  if (mla.q_lora_rank > 0) q_low = b.norm("q_norm", q_low);
  // Its last columns are the keys' rotary part, which all heads share and no norm touches.
  const TensorId kv_norm = b.norm("kv_norm", kv_low, mla.kv_lora_rank);
  const auto up = [&](const char* name, std::int64_t in, int width) {
    return Linear{.name = name,
                  .in = in,
                  .out = std::int64_t{heads} * width,
                  .split = TpSplit::output,
                  .parts = {{std::int64_t{spec.heads} * width, spec.heads}}};
  };
  TensorId q = b.linear(up("q_up", b.at(q_low).columns, spec.head_dim), b.enter_tp(b.quantise(q_low)));
  const TensorId whole = b.enter_tp(b.quantise(kv_norm));
  const TensorId kv = b.linear(up("kv_up", mla.kv_lora_rank, mla.qk_nope + mla.v_head), whole);
  const HeadColumns columns{.heads = heads,
                            .head_dim = spec.head_dim,
                            .offset = mla.qk_nope,
                            .rotated = mla.qk_rope,
                            .theta = context.model().rope_theta,
                            .interleaved = true,
                            .v_dim = mla.v_head};
  q = rotate(b, q, columns);
  // Keys are put together from the up-projected part and the shared rotary part.
  const TensorId keys =
      b.pointwise("rope_kv", {.kind = PointwiseKind::rope, .function = Function::mla_keys, .detail = columns},
                  {kv, whole}, std::int64_t{heads} * (spec.head_dim + mla.v_head));
  const TensorId out = core_attention(b, spec, {q, keys});
  const TensorId y =
      b.linear({.name = "attention_out", .in = b.at(out).columns, .out = hidden, .split = TpSplit::input}, out);
  return b.residual(b.leave_tp(y), x);
}

}  // namespace models
