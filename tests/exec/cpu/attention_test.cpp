#include "exec/cpu/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/exec/cpu/table.h"

namespace exec::cpu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Case {
  AttentionShape shape;
  std::vector<std::int32_t> query_position, key_position;
  Table<double> q, k, v, sinks;  ///< sinks: one row, or none for a shape without
  const double* sink_row() const { return sinks.rows() == 0 ? nullptr : sinks.row(0); }
};

/// Positions of a context-parallel rank: some of 0..most, in any order.
std::vector<std::int32_t> random_positions(Random& random, std::int64_t count, std::int64_t most) {
  std::vector<std::int32_t> positions;
  for (std::int64_t i = 0; i < count; ++i) positions.push_back(static_cast<std::int32_t>(random.integer(0, most)));
  if (random.coin()) std::sort(positions.begin(), positions.end());
  return positions;
}

/// Up to `most` queries and keys a sequence.
Case random_case(int seed, std::int64_t most) {
  Random random(seed);
  AttentionShape shape{.batch = random.integer(1, 2),
                       .queries = random.integer(1, most),
                       .keys = random.integer(1, most),
                       .kv_heads = random.integer(1, 2),
                       .qk_dim = random.integer(1, 5),
                       .v_dim = random.integer(1, 5),
                       .scale = random.number(0.5, 3),
                       .causal = random.integer(0, 3) > 0,
                       .window = random.coin() ? static_cast<std::int32_t>(random.integer(1, most)) : 0};
  shape.heads = shape.kv_heads * random.integer(1, 3);
  Case c{shape,
         random_positions(random, shape.queries, most),
         random_positions(random, shape.keys, most),
         random.table(shape.batch * shape.queries, shape.heads * shape.qk_dim),
         random.table(shape.batch * shape.keys, shape.kv_heads * shape.qk_dim),
         random.table(shape.batch * shape.keys, shape.kv_heads * shape.v_dim),
         random.table(random.integer(0, 1), shape.heads)};
  c.shape.query_position = c.query_position.data();
  c.shape.key_position = c.key_position.data();
  return c;
}

template <typename T>
struct Output {
  Table<T> o, lse;
};

template <typename T>
Output<T> empty_output(const Case& c) {
  return {Table<T>(c.q.rows(), c.shape.heads * c.shape.v_dim), Table<T>(c.q.rows(), c.shape.heads)};
}

Output<double> directly(const Case& c) {
  const AttentionShape& s = c.shape;
  Output<double> out = empty_output<double>(c);
  for (std::int64_t row = 0; row < c.q.rows(); ++row)
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const std::int64_t kv = h / (s.heads / s.kv_heads);
      double denominator = c.sink_row() == nullptr ? 0 : std::exp(c.sinks.at(0, h));
      for (std::int64_t key = 0; key < s.keys; ++key) {
        const int distance = s.query_position[row % s.queries] - s.key_position[key];
        if ((s.causal && distance < 0) || (s.window > 0 && distance >= s.window)) continue;
        const std::int64_t key_row = row / s.queries * s.keys + key;
        double score = 0;
        for (std::int64_t d = 0; d < s.qk_dim; ++d)
          score += s.scale * c.q.at(row, h * s.qk_dim + d) * c.k.at(key_row, kv * s.qk_dim + d);
        denominator += std::exp(score);
        for (std::int64_t d = 0; d < s.v_dim; ++d)
          out.o.at(row, h * s.v_dim + d) += std::exp(score) * c.v.at(key_row, kv * s.v_dim + d);
      }
      for (std::int64_t d = 0; d < s.v_dim; ++d)
        if (denominator > 0) out.o.at(row, h * s.v_dim + d) /= denominator;
      out.lse.at(row, h) = std::log(denominator);
    }
  return out;
}

template <typename T>
Output<T> forward(const Case& c) {
  Output<T> out = empty_output<T>(c);
  out.o.fill(T{9});  // overwritten
  const Table<T> sinks(c.sinks);
  attention(c.shape, Table<T>(c.q).view(), Table<T>(c.k).view(), Table<T>(c.v).view(),
            c.sink_row() == nullptr ? nullptr : sinks.row(0), out.o.view(), out.lse.view());
  return out;
}

template <typename T>
struct Gradients {
  Table<T> dq, dk, dv, dsinks;
};

template <typename T>
Gradients<T> backward(const Case& c, const Table<double>& dout, const Output<double>& out) {
  Gradients<T> to{Table<T>(c.q), Table<T>(c.k), Table<T>(c.v), Table<T>(c.sinks.rows(), c.shape.heads)};
  const Table<T> sinks(c.sinks);
  const bool has_sinks = c.sink_row() != nullptr;
  attention_backward(c.shape, Table<T>(dout).view(), Table<T>(out.o).view(), Table<T>(out.lse).view(),
                     Table<T>(c.q).view(), Table<T>(c.k).view(), Table<T>(c.v).view(),
                     has_sinks ? sinks.row(0) : nullptr, to.dq.view(), to.dk.view(), to.dv.view(),
                     has_sinks ? to.dsinks.row(0) : nullptr);
  return to;
}

Table<double> rows_of(const Table<double>& table, std::int64_t batch, std::int64_t first, std::int64_t count) {
  const std::int64_t length = table.rows() / batch;
  Table<double> part(batch * count, table.columns());
  for (std::int64_t i = 0; i < part.rows(); ++i)
    for (std::int64_t j = 0; j < part.columns(); ++j)
      part.at(i, j) = table.at(i / count * length + first + i % count, j);
  return part;
}

/// `count` of the keys of each sequence from key `first` on; the sinks go with the first block.
Case block_of_keys(const Case& c, std::int64_t first, std::int64_t count) {
  Case block{c.shape,
             c.query_position,
             c.key_position,
             c.q,
             rows_of(c.k, c.shape.batch, first, count),
             rows_of(c.v, c.shape.batch, first, count),
             first == 0 ? c.sinks : Table<double>(0, c.shape.heads)};
  block.shape.keys = count;
  block.shape.query_position = c.query_position.data();
  block.shape.key_position = c.key_position.data() + first;
  return block;
}

std::vector<Case> blocks_of(const Case& c, std::int64_t size) {
  std::vector<Case> blocks;
  for (std::int64_t first = 0; first < c.shape.keys; first += size)
    blocks.push_back(block_of_keys(c, first, std::min(size, c.shape.keys - first)));
  return blocks;
}

class AttentionShapes : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Random, AttentionShapes, testing::Range(0, 40));

TEST_P(AttentionShapes, ForwardIsTheFormula) {
  const Case c = random_case(GetParam(), GetParam() % 2 == 0 ? 20 : 400);
  const Output<double> expected = directly(c);
  const Output<double> out = forward<double>(c);
  expect_close(out.o, expected.o, 1e-13, "o");
  for (std::int64_t i = 0; i < c.q.rows(); ++i)
    for (std::int64_t h = 0; h < c.shape.heads; ++h)
      if (std::isinf(expected.lse.at(i, h))) ASSERT_EQ(out.lse.at(i, h), -kInfinity);
      else ASSERT_NEAR(out.lse.at(i, h), expected.lse.at(i, h), 1e-12);
  expect_close(forward<float>(c).o, expected.o, 1e-5, "float o");
}

TEST_P(AttentionShapes, BackwardIsTheDerivative) {
  Case c = random_case(GetParam(), 7);
  const Table<double> dout = Random(GetParam() + 1000).table(c.q.rows(), c.shape.heads * c.shape.v_dim);
  const auto loss = [&] { return weighted_sum(forward<double>(c).o, dout); };
  const Gradients<double> gradients = backward<double>(c, dout, forward<double>(c));
  expect_gradient(loss, c.q, gradients.dq, "dq");
  expect_gradient(loss, c.k, gradients.dk, "dk");
  expect_gradient(loss, c.v, gradients.dv, "dv");
  expect_gradient(loss, c.sinks, gradients.dsinks, "dsinks");
}

/// Ring attention: blocks of keys, at most one tile each, are attended to one after the other and merged; their
/// backward passes with the merged o and lse add up to that of all keys.
TEST_P(AttentionShapes, OfBlocksOfKeysAddsUp) {
  const Case c = random_case(GetParam(), GetParam() % 2 == 0 ? 20 : 400);
  const Output<double> whole = forward<double>(c);
  const std::vector<Case> blocks = blocks_of(c, Random(GetParam()).integer(3, 64));
  Output<double> merged = forward<double>(blocks[0]);
  for (std::size_t i = 1; i < blocks.size(); ++i) {
    const Output<double> part = forward<double>(blocks[i]);
    merge_attention(merged.o.view(), merged.lse.view(), part.o.view(), part.lse.view());
  }
  expect_close(merged.o, whole.o, 1e-13, "o");

  const Table<double> dout = Random(GetParam() + 1000).table(c.q.rows(), c.shape.heads * c.shape.v_dim);
  const Gradients<double> expected = backward<double>(c, dout, whole);
  Table<double> dq(c.q.rows(), c.q.columns());
  std::int64_t first = 0;
  for (const Case& block : blocks) {
    const Gradients<double> part = backward<double>(block, dout, merged);
    for (std::int64_t i = 0; i < dq.rows(); ++i)
      for (std::int64_t j = 0; j < dq.columns(); ++j) dq.at(i, j) += part.dq.at(i, j);
    expect_close(part.dk, rows_of(expected.dk, c.shape.batch, first, block.shape.keys), 1e-12, "dk");
    expect_close(part.dv, rows_of(expected.dv, c.shape.batch, first, block.shape.keys), 1e-12, "dv");
    if (first == 0) expect_close(part.dsinks, expected.dsinks, 1e-12, "dsinks");
    first += block.shape.keys;
  }
  expect_close(dq, expected.dq, 1e-12, "dq");

  const Gradients<float> in_float = backward<float>(c, dout, whole);
  expect_close(in_float.dq, expected.dq, 2e-5, "float dq");
  expect_close(in_float.dk, expected.dk, 2e-5, "float dk");
  expect_close(in_float.dv, expected.dv, 2e-5, "float dv");
}

}  // namespace
}  // namespace exec::cpu
