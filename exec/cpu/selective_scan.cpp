#include "exec/cpu/selective_scan.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

constexpr std::int64_t kChunk = 64;

/// What one head needs of one row.
template <typename T>
struct Row {
  const T *x, *b, *c;
  T raw;          ///< dt + dt_bias
  T step, decay;  ///< softplus(raw), e^(rate step)
  T rate;         ///< -e^a_log
};

template <typename T>
Row<T> row_of(const ScanShape& shape, const ScanInputs<T>& in, std::int64_t i, std::int64_t head) {
  const std::int64_t group = head / (shape.heads / shape.groups);
  const T raw = in.dt.row(i)[head] + in.dt_bias[head];
  const T step = std::max(raw, T{0}) + std::log1p(std::exp(-std::abs(raw)));
  const T rate = -std::exp(in.a_log[head]);
  return {.x = in.x.row(i) + head * shape.head_dim,
          .b = in.b.row(i) + group * shape.state,
          .c = in.c.row(i) + group * shape.state,
          .raw = raw,
          .step = step,
          .decay = std::exp(rate * step),
          .rate = rate};
}

/// next = decay state + step x b^T; next may be state.
template <typename T>
EXEC_VECTORIZED void advance(const ScanShape& shape, const Row<T>& row, const T* state, T* next) {
  for (std::int64_t p = 0; p < shape.head_dim; ++p) {
    const T decay = row.decay, factor = row.step * row.x[p];
    const T *from = state + p * shape.state, *b = row.b;
    T* to = next + p * shape.state;
    for (std::int64_t n = 0; n < shape.state; ++n) to[n] = decay * from[n] + factor * b[n];
  }
}

template <typename T>
EXEC_VECTORIZED void read_out(const ScanShape& shape, const Row<T>& row, T skip, const T* state, T* y) {
  for (std::int64_t p = 0; p < shape.head_dim; ++p) {
    const T* from = state + p * shape.state;
    y[p] = skip * row.x[p] + lane_sum<T>(shape.state, [&](std::int64_t n) { return from[n] * row.c[n]; });
  }
}

/// Where the gradients of one head's row go, and the sums of its scalars.
template <typename T>
struct RowGradients {
  const T* dy;
  T *dx, *db, *dc;
  T dstep = 0, ddecay = 0, dskip = 0;
};

/// The row's part of all gradients; dstate is that of the states after the row, and becomes that of those before it.
template <typename T>
EXEC_VECTORIZED void retreat(const ScanShape& shape, const Row<T>& row, T skip, const T* before, const T* after,
                             T* dstate, RowGradients<T>* to) {
  T* __restrict db = to->db;
  T* __restrict dc = to->dc;
  for (std::int64_t p = 0; p < shape.head_dim; ++p) {
    const T dy = to->dy[p], x = row.x[p], decay = row.decay, factor = row.step * x;
    const T *s_before = before + p * shape.state, *s_after = after + p * shape.state, *b = row.b, *c = row.c;
    T* __restrict ds = dstate + p * shape.state;
    for (std::int64_t n = 0; n < shape.state; ++n) {
      ds[n] += dy * c[n];
      dc[n] += dy * s_after[n];
      db[n] += factor * ds[n];
    }
    const T along_b = lane_sum<T>(shape.state, [&](std::int64_t n) { return ds[n] * b[n]; });
    to->dx[p] = row.step * along_b + skip * dy;
    to->dstep += x * along_b;
    to->dskip += x * dy;
    to->ddecay += lane_sum<T>(shape.state, [&](std::int64_t n) { return ds[n] * s_before[n]; });
    for (std::int64_t n = 0; n < shape.state; ++n) ds[n] *= decay;
  }
}

/// One head of one sequence.
template <typename T>
class HeadBackward {
 public:
  HeadBackward(const ScanShape& shape, const ScanInputs<T>& in, std::int64_t sequence, std::int64_t head)
      : shape_(shape), in_(in), first_row_(sequence * shape.length), head_(head) {}

  void run(Matrix<const T> dy, const ScanGradients<T>& to) {
    keep_starts();
    std::vector<T> dstate(size());
    for (std::int64_t first = (shape_.length - 1) / kChunk * kChunk; first >= 0; first -= kChunk) {
      const std::int64_t count = std::min(kChunk, shape_.length - first);
      recompute(first, count);
      for (std::int64_t t = count - 1; t >= 0; --t) step_back(first + t, t, dy, to, dstate.data());
    }
  }

 private:
  std::size_t size() const { return static_cast<std::size_t>(shape_.head_dim * shape_.state); }
  Row<T> row(std::int64_t time) const { return row_of(shape_, in_, first_row_ + time, head_); }

  /// The states before the first row of each chunk.
  void keep_starts() {
    std::vector<T> state(size());
    for (std::int64_t t = 0; t < shape_.length; ++t) {
      if (t % kChunk == 0) starts_.insert(starts_.end(), state.begin(), state.end());
      advance<T>(shape_, row(t), state.data(), state.data());
    }
  }

  /// states_: before row `first`, then after each of `count` rows.
  void recompute(std::int64_t first, std::int64_t count) {
    states_.resize(size() * static_cast<std::size_t>(kChunk + 1));
    std::copy_n(starts_.data() + static_cast<std::size_t>(first / kChunk) * size(), size(), states_.data());
    for (std::int64_t t = 0; t < count; ++t) advance<T>(shape_, row(first + t), states(t), states(t + 1));
  }
  T* states(std::int64_t t) { return states_.data() + static_cast<std::size_t>(t) * size(); }

  void step_back(std::int64_t time, std::int64_t t, Matrix<const T> dy, const ScanGradients<T>& to, T* dstate) {
    const std::int64_t i = first_row_ + time, group = head_ / (shape_.heads / shape_.groups);
    const Row<T> now = row(time);
    RowGradients<T> gradients{.dy = dy.row(i) + head_ * shape_.head_dim,
                              .dx = to.dx.row(i) + head_ * shape_.head_dim,
                              .db = to.db.row(i) + group * shape_.state,
                              .dc = to.dc.row(i) + group * shape_.state};
    retreat<T>(shape_, now, in_.skip[head_], states(t), states(t + 1), dstate, &gradients);
    const T dexponent = gradients.ddecay * now.decay;  // of rate * step
    const T draw = (gradients.dstep + dexponent * now.rate) * sigmoid(now.raw);
    to.ddt.row(i)[head_] = draw;
    to.ddt_bias[head_] += draw;
    to.da_log[head_] += dexponent * now.step * now.rate;
    to.dskip[head_] += gradients.dskip;
  }

  const ScanShape& shape_;
  const ScanInputs<T>& in_;
  std::int64_t first_row_, head_;
  std::vector<T> starts_, states_;
};

}  // namespace

template <typename T>
void selective_scan(const ScanShape& shape, const std::type_identity_t<ScanInputs<T>>& in, Matrix<T> y) {
  assert(shape.heads % shape.groups == 0 && y.rows == shape.batch * shape.length && in.x.rows == y.rows);
  std::vector<T> state(static_cast<std::size_t>(shape.head_dim * shape.state));
  for (std::int64_t sequence = 0; sequence < shape.batch; ++sequence)
    for (std::int64_t head = 0; head < shape.heads; ++head) {
      std::fill(state.begin(), state.end(), T{0});
      for (std::int64_t i = sequence * shape.length; i < (sequence + 1) * shape.length; ++i) {
        const Row<T> row = row_of(shape, in, i, head);
        advance<T>(shape, row, state.data(), state.data());
        read_out<T>(shape, row, in.skip[head], state.data(), y.row(i) + head * shape.head_dim);
      }
    }
}

template <typename T>
void selective_scan_backward(const ScanShape& shape, const std::type_identity_t<ScanInputs<T>>& in, ConstMatrix<T> dy,
                             const ScanGradients<T>& to) {
  assert(shape.heads % shape.groups == 0 && dy.rows == shape.batch * shape.length && to.dx.rows == dy.rows);
  zero(to.db);  // heads of a group add up
  zero(to.dc);
  for (std::int64_t sequence = 0; sequence < shape.batch; ++sequence)
    for (std::int64_t head = 0; head < shape.heads; ++head) HeadBackward<T>(shape, in, sequence, head).run(dy, to);
}

#define EXEC_INSTANTIATE(T)                                                                         \
  template void selective_scan<T>(const ScanShape&, const ScanInputs<T>&, Matrix<T>);               \
  template void selective_scan_backward<T>(const ScanShape&, const ScanInputs<T>&, Matrix<const T>, \
                                           const ScanGradients<T>&);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
