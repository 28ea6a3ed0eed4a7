#include <vector>

#include "exec/cpu/activation.h"
#include "exec/cpu/causal_conv.h"
#include "exec/cpu/norm.h"
#include "exec/cpu/op_run.h"
#include "exec/cpu/scratch.h"
#include "exec/cpu/selective_scan.h"

namespace exec::cpu {
namespace {

template <typename T>
std::vector<T> last_column(const Matrix<T>& x) {
  std::vector<T> column;
  for (std::int64_t i = 0; i < x.rows; ++i) column.push_back(x.row(i)[x.columns - 1]);
  return column;
}

}  // namespace

template <typename T>
void run_conv(const OpCall& call, const models::Pointwise& work) {
  const int x_at = work.backward ? 1 : 0;
  const Matrix<T> x = part_of<T>(call.reads[x_at], work.part()), w = matrix<T>(call.reads[x_at + 1]);
  const Matrix<T> taps = w.columns_from(0, w.columns - 1);
  const std::vector<T> bias = last_column(w);
  const std::int64_t length = x.rows / call.facts->batch;
  if (!work.backward) return causal_conv<T>(length, x, taps, bias.data(), matrix<T>(call.writes[0]));
  std::vector<T> dbias(bias.size());
  Scratch<T> frozen(w.rows, w.columns);
  const Matrix<T> dw = call.writes.size() > 1 ? matrix<T>(call.writes[1]) : frozen.view();
  causal_conv_backward<T>(length, matrix<T>(call.reads[0]), x, taps, bias.data(),
                          part_of<T>(call.writes[0], work.part()), dw.columns_from(0, w.columns - 1), dbias.data());
  for (std::int64_t i = 0; i < dw.rows; ++i) dw.row(i)[dw.columns - 1] += dbias[static_cast<std::size_t>(i)];
}

template <typename T>
void run_scan(const OpCall& call, const models::Scan& work) {
  const int x_at = work.backward ? 1 : 0;
  const Matrix<T> xbc = matrix<T>(call.reads[x_at]), w = matrix<T>(call.reads[x_at + 2]);
  const models::ColumnRange steps{.first = work.first_step, .count = work.heads};
  const std::int64_t inner = std::int64_t{work.heads} * work.head_dim, states = std::int64_t{work.groups} * work.state;
  const ScanShape shape{.batch = call.facts->batch,
                        .length = xbc.rows / call.facts->batch,
                        .heads = work.heads,
                        .head_dim = work.head_dim,
                        .groups = work.groups,
                        .state = work.state};
  const ScanInputs<T> in{.x = xbc.columns_from(0, inner),
                         .b = xbc.columns_from(inner, states),
                         .c = xbc.columns_from(inner + states, states),
                         .dt = part_of<T>(call.reads[x_at + 1], steps),
                         .dt_bias = w.row(2),
                         .a_log = w.row(0),
                         .skip = w.row(1)};
  if (!work.backward) return selective_scan<T>(shape, in, matrix<T>(call.writes[0]));
  const Matrix<T> dxbc = matrix<T>(call.writes[0]);
  Scratch<T> frozen(w.rows, w.columns);
  const Matrix<T> dw = call.writes.size() > 2 ? matrix<T>(call.writes[2]) : frozen.view();
  selective_scan_backward<T>(shape, in, matrix<T>(call.reads[0]),
                             {.dx = dxbc.columns_from(0, inner),
                              .db = dxbc.columns_from(inner, states),
                              .dc = dxbc.columns_from(inner + states, states),
                              .ddt = part_of<T>(call.writes[1], steps),
                              .ddt_bias = dw.row(2),
                              .da_log = dw.row(0),
                              .dskip = dw.row(1)});
}

template <typename T>
void run_gated_norm(const OpCall& call, const models::Pointwise& work) {
  constexpr auto kGate = models::Activation::silu;
  const int x_at = work.backward ? 1 : 0;
  const Matrix<T> x = matrix<T>(call.reads[x_at]), z = part_of<T>(call.reads[x_at + 1], work.part());
  const Matrix<T> w = matrix<T>(call.reads[x_at + 2]);
  const NormGroups groups{.groups = work.groups, .width = x.columns / work.groups};
  Scratch<T> gated(x.rows, x.columns);
  activate_gated<T>(kGate, z, x, gated.view());
  if (!work.backward)
    return norm<T>(work.norm, groups, gated.view(), w.data, nullptr, work.epsilon, matrix<T>(call.writes[0]));
  Scratch<T> dgated(x.rows, x.columns);
  T* dw = call.writes.size() > 2 ? matrix<T>(call.writes[2]).data : nullptr;
  norm_backward<T>(work.norm, groups, matrix<T>(call.reads[0]), gated.view(), w.data, work.epsilon, dgated.view(), dw,
                   nullptr);
  activate_gated_backward<T>(kGate, dgated.view(), z, x, part_of<T>(call.writes[1], work.part()),
                             matrix<T>(call.writes[0]));
}

#define EXEC_INSTANTIATE(T)                                           \
  template void run_conv<T>(const OpCall&, const models::Pointwise&); \
  template void run_scan<T>(const OpCall&, const models::Scan&);      \
  template void run_gated_norm<T>(const OpCall&, const models::Pointwise&);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
