#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "exec/cpu/op_run.h"

namespace exec::cpu {
namespace {

using models::CollectiveKind;
using models::GroupKind;

/// Contiguous copy of some columns of an operand.
template <typename T>
std::vector<T> packed(Matrix<T> x) {
  std::vector<T> memory(static_cast<std::size_t>(x.rows * x.columns));
  for (std::int64_t i = 0; i < x.rows; ++i) std::copy(x.row(i), x.row(i) + x.columns, memory.data() + i * x.columns);
  return memory;
}

/// Rows of [ranks][batch][tokens] (as a gather leaves them) and of [batch][ranks][tokens] (as attention reads them):
/// calls body(row of the first, row of the second).
template <typename Body>
void for_rows(std::int64_t ranks, std::int64_t batch, std::int64_t rows, Body body) {
  const std::int64_t tokens = rows / ranks / batch;
  for (std::int64_t r = 0; r < ranks; ++r)
    for (std::int64_t b = 0; b < batch; ++b)
      for (std::int64_t t = 0; t < tokens; ++t) body((r * batch + b) * tokens + t, (b * ranks + r) * tokens + t);
}

template <typename T>
void gather(const OpCall& call, const models::Collective& work, hw::DType dtype) {
  Matrix<T> x = matrix<T>(call.reads[0]);
  if (work.columns.count > 0) x = x.columns_from(work.columns.first, work.columns.count);
  const std::vector<T> mine = packed(x);
  const Matrix<T> y = matrix<T>(call.writes[0]);
  const std::int64_t count = x.rows * x.columns, ranks = call.group->size();
  const bool by_columns = !work.heads.pieces.empty(), of_sequence = work.group == GroupKind::cp;
  if (!by_columns && !of_sequence) return call.group->all_gather(mine.data(), y.data, count, dtype);
  std::vector<T> all(static_cast<std::size_t>(count * ranks));
  call.group->all_gather(mine.data(), all.data(), count, dtype);
  if (of_sequence) {
    for_rows(ranks, call.facts->batch, y.rows, [&](std::int64_t from, std::int64_t to) {
      std::copy(all.data() + from * y.columns, all.data() + (from + 1) * y.columns, y.row(to));
    });
    return;
  }
  for (std::int64_t r = 0; r < ranks; ++r)
    for (std::int64_t i = 0; i < x.rows; ++i)
      std::copy_n(all.data() + r * count + i * x.columns, x.columns, y.row(i) + r * x.columns);
}

template <typename T>
void scatter(const OpCall& call, const models::Collective& work, hw::DType dtype) {
  const Matrix<T> x = matrix<T>(call.reads[0]), y = matrix<T>(call.writes[0]);
  const std::int64_t count = y.rows * y.columns;
  if (work.group != GroupKind::cp) return call.group->reduce_scatter(x.data, y.data, count, dtype);
  std::vector<T> by_rank(static_cast<std::size_t>(x.rows * x.columns));
  for_rows(call.group->size(), call.facts->batch, x.rows, [&](std::int64_t to, std::int64_t from) {
    std::copy(x.row(from), x.row(from) + x.columns, by_rank.data() + to * x.columns);
  });
  call.group->reduce_scatter(by_rank.data(), y.data, count, dtype);
}

/// One rank's share of the columns: the same share of each piece.
struct ShareOfColumns {
  std::int64_t ranks;
  const models::HeadExchange& heads;

  template <typename Body>  ///< body(first column of the whole, first column of the share, columns)
  void each(std::int64_t rank, Body body) const {
    std::int64_t whole = 0, share = 0;
    for (const std::int32_t piece : heads.pieces) {
      const std::int64_t width = piece / ranks;
      body(whole + rank * width, share, width);
      whole += piece;
      share += width;
    }
  }
};

/// [tokens of this rank, all columns] against [tokens of all ranks, a share of the columns].
template <typename T>
void exchange(const OpCall& call, const models::Collective& work, hw::DType dtype) {
  const Matrix<T> x = matrix<T>(call.reads[0]), y = matrix<T>(call.writes[0]);
  const bool to_heads = work.heads.to_heads;
  const Matrix<T> mine = to_heads ? x : y, shares = to_heads ? y : x;
  const std::int64_t ranks = call.group->size(), columns = mine.columns / ranks, block = mine.rows * columns;
  const std::int64_t batch = work.group == GroupKind::cp ? call.facts->batch : 1;
  const ShareOfColumns share{ranks, work.heads};
  std::vector<T> send(static_cast<std::size_t>(block * ranks)), receive(send.size());
  const auto with_mine = [&](auto body) {  // body(element of `mine`, element of the buffer, count)
    for (std::int64_t r = 0; r < ranks; ++r)
      for (std::int64_t i = 0; i < mine.rows; ++i)
        share.each(r, [&](std::int64_t whole, std::int64_t part, std::int64_t width) {
          body(mine.row(i) + whole, r * block + i * columns + part, width);
        });
  };
  const auto with_shares = [&](auto body) {
    for_rows(ranks, batch, shares.rows, [&](std::int64_t by_rank, std::int64_t by_batch) {
      body(shares.row(by_batch), by_rank * columns, columns);
    });
  };
  const auto pack = [&](T* from, std::int64_t to, std::int64_t n) { std::copy_n(from, n, send.data() + to); };
  const auto unpack = [&](T* to, std::int64_t from, std::int64_t n) { std::copy_n(receive.data() + from, n, to); };
  to_heads ? with_mine(pack) : with_shares(pack);
  call.group->all_to_all(send.data(), receive.data(), block, dtype);
  to_heads ? with_shares(unpack) : with_mine(unpack);
}

}  // namespace

template <typename T>
void run_collective(const OpCall& call, const models::Collective& work) {
  const hw::DType dtype = call.writes[0].dtype;
  if (work.group == GroupKind::etp) return run_over_experts_tp(call, work);
  switch (work.kind) {
    case CollectiveKind::all_reduce:
      return call.group->all_reduce(call.reads[0].data(), call.writes[0].data(), call.reads[0].elements(), dtype);
    case CollectiveKind::all_gather: return gather<T>(call, work, dtype);
    case CollectiveKind::reduce_scatter: return scatter<T>(call, work, dtype);
    case CollectiveKind::all_to_all: return exchange<T>(call, work, dtype);
    case CollectiveKind::broadcast: break;
  }
  throw std::invalid_argument(std::string("no CPU kernel for op ") + call.op->name);
}

template <typename T>
void run_ring_step(const OpCall& call, const models::SendRecv& work) {
  const int ranks = call.group->size(), me = call.group->rank();
  const int next = (me + 1) % ranks, before = (me + ranks - 1) % ranks;
  for (int i = 0; i < call.reads.size(); ++i) {
    Matrix<T> x = matrix<T>(call.reads[i]);
    if (work.columns.count > 0) x = x.columns_from(work.columns.first, work.columns.count);
    const std::vector<T> mine = packed(x);
    call.group->send_recv(mine.data(), work.backward ? before : next, call.writes[i].data(),
                          work.backward ? next : before, x.rows * x.columns, call.writes[i].dtype);
  }
}

#define EXEC_INSTANTIATE(T)                                                  \
  template void run_collective<T>(const OpCall&, const models::Collective&); \
  template void run_ring_step<T>(const OpCall&, const models::SendRecv&);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)
EXEC_INSTANTIATE(BFloat16)

}  // namespace exec::cpu
