#include <cmath>
#include <vector>

#include "exec/cpu/attention.h"
#include "exec/cpu/op_run.h"

namespace exec::cpu {
namespace {

/// Positions of all cp ranks' tokens, one rank's after another's.
std::vector<std::int32_t> all_positions(const RankFacts& facts) {
  std::vector<std::int32_t> all;
  for (const auto& of_rank : facts.positions) all.insert(all.end(), of_rank.begin(), of_rank.end());
  return all;
}

/// Queries and keys of one call.
struct Positions {
  std::vector<std::int32_t> queries, keys;
};

Positions positions_of(const RankFacts& facts, const models::Attention& work, std::int64_t key_rows) {
  Positions p;
  p.queries = work.all_queries ? all_positions(facts) : facts.mine();
  if (work.all_keys) {
    p.keys = all_positions(facts);
  } else {
    const int source = (facts.cp_index - work.ring_step + facts.cp) % facts.cp;
    p.keys = facts.positions[static_cast<std::size_t>(source)];
  }
  if (static_cast<std::int64_t>(p.keys.size()) == key_rows / facts.batch) return p;
  p.keys.clear();  // keys of another sequence (cross-attention) are all seen
  for (std::int64_t i = 0; i < key_rows / facts.batch; ++i) p.keys.push_back(static_cast<std::int32_t>(i));
  return p;
}

/// q, k and v in one tensor or in two.
template <typename T>
struct Operands {
  Matrix<T> q, k, v;
};

template <typename T>
Operands<T> operands_of(const models::Attention& work, const Matrix<T>& first, const Matrix<T>& last, bool fused) {
  const std::int64_t q = std::int64_t{work.heads} * work.qk_dim, k = std::int64_t{work.kv_heads} * work.qk_dim;
  const std::int64_t v = std::int64_t{work.kv_heads} * work.v_dim, from = fused ? q : 0;
  return {first.columns_from(0, q), last.columns_from(from, k), last.columns_from(from + k, v)};
}

AttentionShape shape_of(const models::Attention& work, const RankFacts& facts, const Positions& positions) {
  return {.batch = facts.batch,
          .queries = static_cast<std::int64_t>(positions.queries.size()),
          .keys = static_cast<std::int64_t>(positions.keys.size()),
          .heads = work.heads,
          .kv_heads = work.kv_heads,
          .qk_dim = work.qk_dim,
          .v_dim = work.v_dim,
          .scale = 1 / std::sqrt(static_cast<double>(work.qk_dim)),
          .causal = work.causal,
          .window = work.window,
          .query_position = positions.queries.data(),
          .key_position = positions.keys.data()};
}

}  // namespace

template <typename T>
void run_attention(const OpCall& call, const models::Attention& work) {
  // Forward: q..., sinks? -> o, lse. Backward: do, o, lse, q..., sinks? -> dq..., dsinks?
  const int first = work.backward ? 3 : 0;
  const int inputs = call.reads.size() - first - (work.sinks ? 1 : 0);
  const Matrix<T> q = matrix<T>(call.reads[first]), kv = matrix<T>(call.reads[first + inputs - 1]);
  const Operands<T> x = operands_of(work, q, kv, inputs == 1);
  const Positions positions = positions_of(*call.facts, work, kv.rows);
  const AttentionShape shape = shape_of(work, *call.facts, positions);
  // Where heads are divided over context parallelism, so are their sinks.
  const std::int64_t first_head = work.all_queries ? std::int64_t{work.heads} * call.facts->cp_index : 0;
  const T* sinks = work.sinks ? matrix<T>(call.reads[call.reads.size() - 1]).data + first_head : nullptr;
  if (!work.backward) {
    attention<T>(shape, x.q, x.k, x.v, sinks, matrix<T>(call.writes[0]), matrix<T>(call.writes[1]));
    return;
  }
  const Matrix<T> dq = matrix<T>(call.writes[0]), dkv = matrix<T>(call.writes[inputs - 1]);
  const Operands<T> d = operands_of(work, dq, dkv, inputs == 1);
  // Where q is fused with keys that are not used here, their gradient is zero; so is that of an output gate's columns.
  for (const Matrix<T>& whole : {dq, dkv})
    for (std::int64_t i = 0; i < whole.rows; ++i) std::fill(whole.row(i), whole.row(i) + whole.columns, T{0});
  T* dsinks = work.sinks && call.writes.size() > inputs ? matrix<T>(call.writes[inputs]).data + first_head : nullptr;
  attention_backward<T>(shape, matrix<T>(call.reads[0]), matrix<T>(call.reads[1]), matrix<T>(call.reads[2]), x.q, x.k,
                        x.v, sinks, d.q, d.k, d.v, dsinks);
}

template void run_attention<float>(const OpCall&, const models::Attention&);
template void run_attention<double>(const OpCall&, const models::Attention&);

}  // namespace exec::cpu
