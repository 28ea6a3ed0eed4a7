#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "exec/cpu/activation.h"
#include "exec/cpu/attention.h"
#include "exec/cpu/cross_entropy.h"
#include "exec/cpu/elementwise.h"
#include "exec/cpu/embedding.h"
#include "exec/cpu/norm.h"
#include "exec/cpu/op_run.h"
#include "exec/cpu/rope.h"

namespace exec::cpu {
namespace {

using models::Function;
using models::Pointwise;

template <typename T>
void copy_columns(Matrix<const T> x, Matrix<T> y) {
  for (std::int64_t i = 0; i < x.rows; ++i) std::copy(x.row(i), x.row(i) + x.columns, y.row(i));
}

/// Columns of y from `first` on are those of x.
template <typename T>
void pass_through(Matrix<T> x, Matrix<T> y, std::int64_t first) {
  const std::int64_t columns = std::min(x.columns, y.columns) - first;
  if (columns > 0) copy_columns<T>(x.columns_from(first, columns), y.columns_from(first, columns));
}

// ---- Norms ----

template <typename T>
void run_norm(const OpCall& call, const Pointwise& work) {
  const int x_at = work.backward ? 1 : 0;
  const Matrix<T> x = matrix<T>(call.reads[x_at]), w = matrix<T>(call.reads[x_at + 1]);
  const NormGroups groups = whole_row(w.columns);
  const T* bias = w.rows > 1 ? w.row(1) : nullptr;
  if (!work.backward) {
    const Matrix<T> y = matrix<T>(call.writes[0]);
    norm<T>(work.norm, groups, x, w.data, bias, work.epsilon, y);
    return pass_through(x, y, w.columns);
  }
  const Matrix<T> dy = matrix<T>(call.reads[0]), dx = matrix<T>(call.writes[0]);
  const bool trained = call.writes.size() > 1;
  const Matrix<T> dw = trained ? matrix<T>(call.writes[1]) : Matrix<T>{};
  norm_backward<T>(work.norm, groups, dy, x, w.data, work.epsilon, dx, dw.data, bias && trained ? dw.row(1) : nullptr);
  pass_through(dy, dx, w.columns);
}

/// Norm of each head of q, then of k, with a weight for each of the two.
template <typename T>
void run_head_norm(const OpCall& call, const Pointwise& work) {
  const int x_at = work.backward ? 1 : 0;
  const Matrix<T> x = matrix<T>(call.reads[x_at]), w = matrix<T>(call.reads[x_at + 1]);
  const Matrix<T> out = matrix<T>(call.writes[0]), dy = matrix<T>(call.reads[0]);
  const bool trained = call.writes.size() > 1;
  const Matrix<T> dw = trained && work.backward ? matrix<T>(call.writes[1]) : Matrix<T>{};
  const models::HeadColumns& c = work.columns();
  std::int64_t first = 0, row = 0;
  for (const int heads : {c.heads, c.kv_heads}) {
    const NormGroups groups{.first = first, .groups = heads, .width = c.head_dim, .shared_weight = true};
    if (work.backward) {
      norm_backward<T>(work.norm, groups, dy, x, w.row(row), work.epsilon, out, trained ? dw.row(row) : nullptr,
                       nullptr);
    } else {
      norm<T>(work.norm, groups, x, w.row(row), nullptr, work.epsilon, out);
    }
    first += std::int64_t{heads} * c.head_dim;
    ++row;
  }
  pass_through(work.backward ? dy : x, out, first);
}

// ---- Rotary positions ----

/// theta^(-j / pairs)
double frequency(double theta, std::int64_t j, std::int64_t pairs) {
  return std::pow(theta, -static_cast<double>(j) / static_cast<double>(pairs));
}

/// Of pair j of `pairs` at a position of the sequence.
double rotary_angle(const models::HeadColumns& c, std::int32_t position, std::int64_t j, std::int64_t pairs) {
  const auto [frames, height, width] = c.grid;
  if (frames == 0) return position * frequency(c.theta, j, pairs);
  const std::int64_t third = pairs / 3, of_frame = pairs - 2 * third;
  const std::int32_t frame = position / (height * width), row = position / width % height, column = position % width;
  if (j < of_frame) return frame * frequency(c.theta, j, of_frame);
  if (j < of_frame + third) return row * frequency(c.theta, j - of_frame, third);
  return column * frequency(c.theta, j - of_frame - third, third);
}

/// cos and sin of the angles for the rows of a microbatch.
template <typename T>
struct RotaryTable {
  std::vector<T> cosine, sine;
  std::int64_t rows = 0, columns = 0;

  RotaryTable(const RankFacts& facts, const models::HeadColumns& c)
      : rows(facts.batch * static_cast<std::int64_t>(facts.mine().size())), columns(c.rotated / 2) {
    cosine.reserve(static_cast<std::size_t>(rows * columns));
    sine.reserve(cosine.capacity());
    for (std::int64_t b = 0; b < facts.batch; ++b) {
      for (const std::int32_t position : facts.mine()) {
        for (std::int64_t j = 0; j < columns; ++j) {
          const double angle = rotary_angle(c, position, j, columns);
          cosine.push_back(static_cast<T>(std::cos(angle)));
          sine.push_back(static_cast<T>(std::sin(angle)));
        }
      }
    }
  }
  Matrix<const T> cosines() const { return {cosine.data(), rows, columns, columns}; }
  Matrix<const T> sines() const { return {sine.data(), rows, columns, columns}; }
};

template <typename T>
void run_rotate(const OpCall& call, const Pointwise& work) {
  const models::HeadColumns& c = work.columns();
  const RotaryTable<T> table(*call.facts, c);
  const RotaryColumns columns{.first = 0,
                              .heads = c.heads + c.kv_heads,
                              .head_dim = c.head_dim,
                              .offset = c.offset,
                              .rotary = c.rotated,
                              .interleaved = c.interleaved};
  const Matrix<T> x = matrix<T>(call.reads[0]), y = matrix<T>(call.writes[0]);
  rotate<T>(columns, work.backward ? Rotation::backward : Rotation::forward, x, table.cosines(), table.sines(), y);
  pass_through(x, y, columns.heads * columns.head_dim);
}

/// Of each head: nope | rope for keys, then the values of all heads. kv: nope | v of each head; low: its last columns.
template <typename T>
void run_mla_keys(const OpCall& call, const Pointwise& work) {
  const models::HeadColumns& c = work.columns();
  const std::int64_t heads = c.heads, nope = c.offset, rope = c.rotated, v = c.v_dim, key = nope + rope;
  const RotaryTable<T> table(*call.facts, c);
  const RotaryColumns rotary{.heads = 1, .head_dim = rope, .rotary = rope, .interleaved = c.interleaved};
  if (!work.backward) {
    const Matrix<T> kv = matrix<T>(call.reads[0]), low = matrix<T>(call.reads[1]), out = matrix<T>(call.writes[0]);
    const Matrix<T> shared = low.columns_from(low.columns - rope, rope);
    for (std::int64_t h = 0; h < heads; ++h) {
      copy_columns<T>(kv.columns_from(h * (nope + v), nope), out.columns_from(h * key, nope));
      rotate<T>(rotary, Rotation::forward, shared, table.cosines(), table.sines(),
                out.columns_from(h * key + nope, rope));
      copy_columns<T>(kv.columns_from(h * (nope + v) + nope, v), out.columns_from(heads * key + h * v, v));
    }
    return;
  }
  const Matrix<T> dy = matrix<T>(call.reads[0]), dkv = matrix<T>(call.writes[0]), dlow = matrix<T>(call.writes[1]);
  const Matrix<T> dshared = dlow.columns_from(dlow.columns - rope, rope);
  for (std::int64_t i = 0; i < dlow.rows; ++i) std::fill(dlow.row(i), dlow.row(i) + dlow.columns, T{0});
  for (std::int64_t h = 0; h < heads; ++h) {
    copy_columns<T>(dy.columns_from(h * key, nope), dkv.columns_from(h * (nope + v), nope));
    add_to<T>(dshared, dy.columns_from(h * key + nope, rope));
    copy_columns<T>(dy.columns_from(heads * key + h * v, v), dkv.columns_from(h * (nope + v) + nope, v));
  }
  rotate<T>(rotary, Rotation::backward, dshared, table.cosines(), table.sines(), dshared);
}

// ---- Activation ----

template <typename T>
void run_activation(const OpCall& call, const Pointwise& work) {
  const Matrix<T> h = matrix<T>(call.reads[work.backward ? 1 : 0]), out = matrix<T>(call.writes[0]);
  const bool weighted = call.reads.size() > (work.backward ? 2 : 1);
  if (!work.gated) {
    work.backward ? activate_backward<T>(work.activation, matrix<T>(call.reads[0]), h, out)
                  : activate<T>(work.activation, h, out);
    if (weighted) weigh_activation<T>(call, work);
    return;
  }
  const std::int64_t half = h.columns / 2;
  const Matrix<T> gate = h.columns_from(0, half), up = h.columns_from(half, half);
  if (work.backward) {
    activate_gated_backward<T>(work.activation, matrix<T>(call.reads[0]), gate, up, out.columns_from(0, half),
                               out.columns_from(half, half));
  } else {
    activate_gated<T>(work.activation, gate, up, out);
  }
  if (weighted) weigh_activation<T>(call, work);
}

// ---- Ends of the model ----

const std::int64_t* ids(const View& view) { return static_cast<const std::int64_t*>(view.data()); }

template <typename T>
void run_embedding(const OpCall& call, const Pointwise& work) {
  if (!work.backward) return look_up<T>(call);
  const Matrix<T> table = matrix<T>(call.writes[0]);
  if (table.rows == 0) return;  // frozen
  embed_backward<T>(ids(call.reads[1]), matrix<T>(call.reads[0]), table.rows * call.facts->tp_index, table);
}

/// Rows of x are tokens of this rank, or with sequence parallelism its share of them.
template <typename T>
void run_add_positions(const OpCall& call, const Pointwise& work) {
  const Matrix<T> x = matrix<T>(call.reads[0]);
  const Matrix<T> table = matrix<T>(work.backward ? call.writes[0] : call.reads[1]);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    T* entry = table.row(call.facts->position_of_row(i, x.rows));
    if (work.backward) {
      for (std::int64_t j = 0; j < x.columns; ++j) entry[j] += x.row(i)[j];
    } else {
      T* y = matrix<T>(call.writes[0]).row(i);
      for (std::int64_t j = 0; j < x.columns; ++j) y[j] = x.row(i)[j] + entry[j];
    }
  }
}

std::int64_t valid_columns(const RankFacts& facts, std::int64_t local) {
  return std::clamp<std::int64_t>(facts.vocabulary - local * facts.tp_index, 0, local);
}

template <typename T>
void run_loss(const OpCall& call, const Pointwise& work) {
  const RankFacts& facts = *call.facts;
  const Matrix<T> x = matrix<T>(call.reads[0]);  // logits, or in backward the probabilities
  const std::int64_t first = x.columns * facts.tp_index, valid = valid_columns(facts, x.columns);
  const std::int64_t* labels = ids(call.reads[1]);
  if (work.backward)
    return cross_entropy_gradient<T>(x, labels, first, static_cast<T>(call.loss_factor), matrix<T>(call.writes[0]));
  if (work.function == Function::loss_statistics)
    return cross_entropy_statistics<T>(x, labels, first, valid, matrix<T>(call.writes[0]));
  std::vector<T> memory(static_cast<std::size_t>(3 * x.rows));
  const Matrix<T> combined{memory.data(), x.rows, 3, 3};
  if (call.reads.size() > 2) {
    combine_statistics<T>(matrix<T>(call.reads[2]), combined);
  } else {
    cross_entropy_statistics<T>(x, labels, first, valid, combined);
  }
  softmax_of_shard<T>(x, combined, valid, matrix<T>(call.writes[0]));
  T* losses = matrix<T>(call.writes[1]).data;
  for (std::int64_t i = 0; i < x.rows; ++i)
    losses[i] = static_cast<T>(cross_entropy_loss<T>(combined.rows_from(i, 1), labels + i));
}

// ---- Moving columns ----

template <typename T>
void run_concatenate(const OpCall& call, const Pointwise& work) {
  const auto& parts = work.backward ? call.writes : call.reads;
  const Matrix<T> whole = matrix<T>(work.backward ? call.reads[0] : call.writes[0]);
  std::int64_t first = 0;
  for (const View& view : parts) {
    const Matrix<T> part = matrix<T>(view), columns = whole.columns_from(first, part.columns);
    work.backward ? copy_columns<T>(columns, part) : copy_columns<T>(part, columns);
    first += part.columns;
  }
}

template <typename T>
void run_add_columns(const OpCall& call) {
  const Matrix<T> x = matrix<T>(call.reads[0]), part = matrix<T>(call.reads[1]), y = matrix<T>(call.writes[0]);
  copy_columns<T>(x, y);
  add_to<T>(y.columns_from(y.columns - part.columns, part.columns), part);
}

template <typename T>
void run_merge(const OpCall& call) {
  const Matrix<T> o = matrix<T>(call.writes[0]), lse = matrix<T>(call.writes[1]);
  copy_columns<T>(matrix<T>(call.reads[0]), o);
  copy_columns<T>(matrix<T>(call.reads[1]), lse);
  merge_attention<T>(o, lse, matrix<T>(call.reads[2]), matrix<T>(call.reads[3]));
}

}  // namespace

template <typename T>
void look_up(const OpCall& call) {
  const Matrix<T> table = matrix<T>(call.reads[1]);
  embed<T>(ids(call.reads[0]), table, table.rows * call.facts->tp_index, matrix<T>(call.writes[0]));
}

template <typename T>
void run_pointwise(const OpCall& call, const models::Pointwise& work) {
  switch (work.function) {
    case Function::copy: return copy_columns<T>(matrix<T>(call.reads[0]), matrix<T>(call.writes[0]));
    case Function::add:
    case Function::sum_gradients:
      return add<T>(matrix<T>(call.reads[0]), matrix<T>(call.reads[1]), matrix<T>(call.writes[0]));
    case Function::norm: return run_norm<T>(call, work);
    case Function::head_norm: return run_head_norm<T>(call, work);
    case Function::rotate: return run_rotate<T>(call, work);
    case Function::mla_keys: return run_mla_keys<T>(call, work);
    case Function::activation: return run_activation<T>(call, work);
    case Function::embedding: return run_embedding<T>(call, work);
    case Function::add_positions: return run_add_positions<T>(call, work);
    case Function::concatenate: return run_concatenate<T>(call, work);
    case Function::add_columns: return run_add_columns<T>(call);
    case Function::merge_attention: return run_merge<T>(call);
    case Function::own_columns: {
      const Matrix<T> whole = matrix<T>(call.reads[0]), mine = matrix<T>(call.writes[0]);
      return copy_columns<T>(whole.columns_from(mine.columns * call.facts->tp_index, mine.columns), mine);
    }
    case Function::loss_statistics:
    case Function::loss: return run_loss<T>(call, work);
    case Function::route:
    case Function::permute:
    case Function::unpermute:
    case Function::sort_rows:
    case Function::unsort_rows:
    case Function::expert_bias: return run_routed<T>(call, work);
    case Function::gated_norm: return run_gated_norm<T>(call, work);
    case Function::conv: return run_conv<T>(call, work);
    case Function::add_vectors: return run_add_vectors<T>(call, work);
    case Function::modulated_norm: return run_modulated_norm<T>(call, work);
    case Function::gated_residual: return run_gated_residual<T>(call, work);
    case Function::flow_loss: return run_flow_loss<T>(call, work);
    case Function::none: break;
  }
  throw std::invalid_argument(std::string("no CPU kernel for op ") + call.op->name);
}

template void look_up<BFloat16>(const OpCall&);
template void run_pointwise<float>(const OpCall&, const models::Pointwise&);
template void run_pointwise<double>(const OpCall&, const models::Pointwise&);

}  // namespace exec::cpu
