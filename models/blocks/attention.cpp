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
  const std::int64_t seq = context.layout().seq_len;
  const bool quantised = context.traits().fp8_attention && context.matmul != context.storage;
  return {.batch = context.layout().mbs,
          .queries = seq,
          .keys = seq,
          .heads = local_heads(b, spec.heads),
          .kv_heads = local_heads(b, spec.kv_heads),
          .qk_dim = spec.head_dim,
          .v_dim = spec.v_head_dim,
          .window = spec.window,
          .mask = mask_of(spec, seq),
          .operand = quantised ? context.matmul : context.storage,
          .backend = context.traits().attention};
}

std::int64_t kv_columns(const Attention& work) {
  return static_cast<std::int64_t>(work.kv_heads) * (work.qk_dim + work.v_dim);
}

/// Row statistics (log-sum-exp) that backward needs.
TensorId statistics(BlockBuilder& b, std::int64_t rows, int heads) {
  return b.tensor("lse", TensorKind::activation, hw::DType::fp32, rows, heads);
}

/// Ring attention (arXiv 2310.01889): cp steps, each over one rank's keys and values while the next ones travel. A
/// causal ring is balanced by pairing the head and the tail of the sequence, so each step but the first sees half.
TensorId ring_attention(BlockBuilder& b, Attention work, std::initializer_list<TensorId> qkv) {
  const int cp = b.context().layout().cp;
  const std::int64_t rows = b.at(*qkv.begin()).rows;
  const bool causal = work.mask == Mask::causal;
  work.queries /= cp;
  work.keys /= cp;
  TensorId out = b.activation("attention_out", rows, std::int64_t{work.heads} * work.v_dim);
  TensorId lse = statistics(b, rows, work.heads);
  b.add("core", work, qkv, {out, lse}, kHostAttention);
  TensorId kv = *(qkv.end() - 1);
  Attention step = work;
  if (causal) {
    step.mask = Mask::full;
    step.keys = std::max<std::int64_t>(1, work.keys / 2);
  }
  for (int i = 1; i < cp; ++i) {
    const TensorId next = b.activation("ring_kv", rows, kv_columns(work));
    b.add("ring_kv", SendRecv{.group = GroupKind::cp, .payload = b.at(next).bytes()}, {kv}, {next}, kHostRing).stream =
        Stream::cp_comm;
    const TensorId partial = b.activation("attention_partial", rows, b.at(out).columns);
    const TensorId partial_lse = statistics(b, rows, work.heads);
    b.add("core_step", step, {*qkv.begin(), next}, {partial, partial_lse}, kHostAttention);
    out = b.pointwise("merge", PointwiseKind::residual, {out, partial});
    kv = next;
  }
  return out;
}

/// Keys and values of all ranks are gathered once; queries stay (Llama 3, arXiv 2407.21783, section 3.3.2).
TensorId gathered_attention(BlockBuilder& b, Attention work, std::initializer_list<TensorId> qkv) {
  const int cp = b.context().layout().cp;
  const std::int64_t rows = b.at(*qkv.begin()).rows;
  work.queries /= cp;
  const TensorId kv = b.activation("all_kv", rows * cp, kv_columns(work));
  b.add("cp_all_gather",
        Collective{.kind = CollectiveKind::all_gather, .group = GroupKind::cp, .payload = b.at(kv).bytes()},
        {*(qkv.end() - 1)}, {kv}, 1)
      .stream = Stream::cp_comm;
  // The local queries are the head and the tail of the sequence, so on average half of the keys are visible.
  if (work.mask == Mask::causal) {
    work.mask = Mask::full;
    work.keys = std::max<std::int64_t>(1, work.keys / 2);
  }
  const TensorId out = b.activation("attention_out", rows, std::int64_t{work.heads} * work.v_dim);
  b.add("core", work, {*qkv.begin(), kv}, {out, statistics(b, rows, work.heads)}, kHostAttention);
  return out;
}

/// Heads are exchanged for sequence before and after (DeepSpeed-Ulysses, arXiv 2309.14509).
TensorId ulysses_attention(BlockBuilder& b, Attention work, std::initializer_list<TensorId> qkv) {
  const int cp = b.context().layout().cp;
  InlineVector<TensorId, 3> exchanged;
  for (const TensorId part : qkv) {
    const TensorId all = b.activation("sequence_whole", b.at(part).rows * cp, b.at(part).columns / cp);
    b.add("cp_all_to_all",
          Collective{.kind = CollectiveKind::all_to_all, .group = GroupKind::cp, .payload = b.at(all).bytes()}, {part},
          {all}, 1)
        .stream = Stream::cp_comm;
    exchanged.push_back(all);
  }
  work.heads = std::max(1, work.heads / cp);
  work.kv_heads = std::max(1, work.kv_heads / cp);
  const std::int64_t rows = b.at(exchanged[0]).rows;
  const TensorId mine = b.activation("attention_mine", rows, std::int64_t{work.heads} * work.v_dim);
  Op& op = b.add("core", work, {exchanged[0]}, {mine, statistics(b, rows, work.heads)}, kHostAttention);
  for (int i = 1; i < exchanged.size(); ++i) op.reads.push_back(exchanged[i]);
  const TensorId out = b.activation("attention_out", rows / cp, b.at(mine).columns * cp);
  b.add("cp_all_to_all",
        Collective{.kind = CollectiveKind::all_to_all, .group = GroupKind::cp, .payload = b.at(mine).bytes()}, {mine},
        {out}, 1)
      .stream = Stream::cp_comm;
  return out;
}

/// One fused rotary kernel, or the unfused rotate-half: slices, products, concatenation.
TensorId rotate(BlockBuilder& b, TensorId x, std::int64_t rotated_columns) {
  const float share = static_cast<float>(rotated_columns) / static_cast<float>(b.at(x).columns);
  const float passes = b.context().traits().fused_rope ? share : 3 * share;
  return b.pointwise("rope", PointwiseKind::rope, {x}, passes);
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
  const Attention work = whole_attention(b, spec);
  const Layout& layout = b.context().layout();
  TensorId out = kNoTensor;
  if (layout.cp == 1) {
    const std::int64_t rows = b.at(*qkv.begin()).rows;
    out = b.activation("attention_out", rows, std::int64_t{work.heads} * work.v_dim);
    b.add("core", work, qkv, {out, statistics(b, rows, work.heads)}, kHostAttention);
    if (work.backend == AttentionBackend::unfused) write_scores(b, work);
  } else {
    switch (layout.cp_kind) {
      case CpKind::ring: out = ring_attention(b, work, qkv); break;
      case CpKind::all_gather: out = gathered_attention(b, work, qkv); break;
      case CpKind::all_to_all: out = ulysses_attention(b, work, qkv); break;
    }
  }
  b.set_module(Module::attention);
  return out;
}

TensorId attention_part(BlockBuilder& b, const AttentionSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const Traits& traits = context.traits();
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t q = std::int64_t{local_heads(b, spec.heads)} * spec.head_dim;
  const std::int64_t kv = 2 * std::int64_t{local_heads(b, spec.kv_heads)} * spec.head_dim;
  const std::int64_t gate = spec.output_gate ? q : 0;
  b.set_module(Module::attention);
  b.set_graphed(context.run.graph.attention || context.run.graph.layer);

  TensorId n = b.enter_tp(b.quantise(b.norm("attention_norm", x)));
  TensorId qkv = b.linear({.name = "qkv",
                           .in = hidden,
                           .out = q + kv + gate,
                           .bias = spec.qkv_bias,
                           .adapter = context.run.lora && context.run.lora->qkv,
                           .copies = traits.separate_qkv ? 3 : 1},
                          n);
  if (spec.qk_norm) {
    b.weight("qk_norm", 2, spec.head_dim);
    const std::int64_t normed = q + kv / 2;
    const float share = static_cast<float>(normed) / static_cast<float>(q + kv + gate);
    // Values and gate pass unchanged: kept once, with the normed queries and keys.
    b.share_columns(qkv, kv / 2 + gate);
    qkv = b.pointwise("qk_norm", PointwiseKind::qk_norm, {qkv}, share);
  }
  if (context.model().position == Position::rotary) qkv = rotate(b, qkv, q + kv / 2);
  if (spec.sinks) b.weight("sinks", 1, local_heads(b, spec.heads));
  TensorId out = core_attention(b, spec, {qkv});
  if (gate > 0) out = b.pointwise("output_gate", PointwiseKind::scale, {out, out});
  TensorId y = b.linear({.name = "attention_out",
                         .in = b.at(out).columns,
                         .out = hidden,
                         .bias = spec.out_bias,
                         .adapter = context.run.lora && context.run.lora->out},
                        out);
  return b.residual(b.leave_tp(y), x);
}

TensorId mla_part(BlockBuilder& b, const AttentionSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const Mla& mla = *spec.mla;
  const std::int64_t hidden = context.model().hidden;
  const std::int64_t heads = local_heads(b, spec.heads);
  b.set_module(Module::attention);
  b.set_graphed(context.run.graph.attention || context.run.graph.layer);

  // The down projections are small and replicated over TP: they work on the sequence shard.
  const TensorId n = b.quantise(b.norm("attention_norm", x));
  const TensorId kv_low = b.linear({.name = "kv_down", .in = hidden, .out = mla.kv_lora_rank + mla.qk_rope}, n);
  TensorId q_low = n;
  if (mla.q_lora_rank > 0) q_low = b.linear({.name = "q_down", .in = hidden, .out = mla.q_lora_rank}, n);
  b.set_module(Module::mla_up_proj);
  if (mla.q_lora_rank > 0) q_low = b.norm("q_norm", q_low);
  const TensorId kv_norm = b.norm("kv_norm", kv_low);
  TensorId q = b.linear({.name = "q_up", .in = b.at(q_low).columns, .out = heads * spec.head_dim},
                        b.enter_tp(b.quantise(q_low)));
  const TensorId kv =
      b.linear({.name = "kv_up", .in = b.at(kv_norm).columns, .out = heads * (mla.qk_nope + mla.v_head)},
               b.enter_tp(b.quantise(kv_norm)));
  q = rotate(b, q, heads * mla.qk_rope);
  // Keys are put together from the up-projected part and the shared rotary part.
  const TensorId keys = b.pointwise("rope_kv", PointwiseKind::rope, {kv}, 1, heads * (spec.head_dim + mla.v_head));
  const TensorId out = core_attention(b, spec, {q, keys});
  const TensorId y = b.linear({.name = "attention_out", .in = b.at(out).columns, .out = hidden}, out);
  return b.residual(b.leave_tp(y), x);
}

}  // namespace models
