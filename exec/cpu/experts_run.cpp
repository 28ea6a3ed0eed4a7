#include <algorithm>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "exec/cpu/activation.h"
#include "exec/cpu/gemm.h"
#include "exec/cpu/op_run.h"
#include "exec/cpu/reduce.h"
#include "exec/cpu/router.h"

namespace exec::cpu {
namespace {

using models::Function;
using models::Pointwise;

RouterRule rule_of(const models::RouterRule& rule) {
  RouterRule result{.top_k = rule.top_k, .normalized = rule.normalised, .scaling = rule.scaling};
  switch (rule.score) {
    case models::Router::softmax: result.score = RouterScore::softmax; break;
    case models::Router::softmax_of_chosen: result.score = RouterScore::softmax_of_chosen; break;
    case models::Router::sigmoid_bias: result.score = RouterScore::sigmoid; break;
  }
  return result;
}

template <typename T>
void copy_row(const T* from, std::int64_t columns, T* to) {
  std::copy(from, from + columns, to);
}

template <typename T>
void add_row(const T* from, std::int64_t columns, T* to) {
  for (std::int64_t j = 0; j < columns; ++j) to[j] += from[j];
}

void choose_in_turn(const OpCall& call, std::int64_t rows, ExpertRouting& routing) {
  for (std::int64_t i = 0; i < rows; ++i)
    for (int j = 0; j < routing.top_k; ++j)
      routing.chosen[static_cast<std::size_t>(i * routing.top_k + j)] = static_cast<std::int32_t>(
          (call.facts->position_of_row(i, rows) * std::int64_t{routing.top_k} + j) % routing.experts);
}

template <typename T>
void route(const OpCall& call, const Pointwise& work) {
  const RouterRule rule = rule_of(work.router());
  ExpertRouting& routing = *call.routing;
  if (!work.backward) {
    const Matrix<T> logits = matrix<T>(call.reads[0]), map = matrix<T>(call.writes[0]);
    routing.top_k = work.router().top_k;
    routing.experts = static_cast<int>(logits.columns);
    routing.chosen.resize(static_cast<std::size_t>(logits.rows * rule.top_k));
    if (work.router().balanced) {
      choose_in_turn(call, logits.rows, routing);
    } else {
      choose_experts<T>(rule, logits, nullptr, routing.chosen.data());
    }
    std::vector<T> memory(routing.chosen.size());
    const Matrix<T> weights{memory.data(), logits.rows, rule.top_k, rule.top_k};
    if (work.router().uniform) {
      std::fill(memory.begin(), memory.end(), static_cast<T>(rule.scaling) / static_cast<T>(rule.top_k));
    } else {
      expert_weights<T>(rule, logits, routing.chosen.data(), weights);
    }
    zero(map);
    for (std::int64_t i = 0; i < map.rows; ++i)
      for (std::int64_t j = 0; j < rule.top_k; ++j)
        map.row(i)[routing.chosen[static_cast<std::size_t>(i * rule.top_k + j)]] = weights.row(i)[j];
    return;
  }
  if (work.router().uniform) return zero(matrix<T>(call.writes[0]));
  const Matrix<T> dmap = matrix<T>(call.reads[0]), logits = matrix<T>(call.reads[1]);
  std::vector<T> memory(routing.chosen.size());
  const Matrix<T> dweights{memory.data(), dmap.rows, rule.top_k, rule.top_k};
  for (std::int64_t i = 0; i < dmap.rows; ++i)
    for (std::int64_t j = 0; j < rule.top_k; ++j)
      dweights.row(i)[j] = dmap.row(i)[routing.chosen[static_cast<std::size_t>(i * rule.top_k + j)]];
  expert_weights_backward<T>(rule, dweights, logits, routing.chosen.data(), matrix<T>(call.writes[0]));
}

/// body(token, its row among the permuted, its expert) for all tokens and their choices in order.
template <typename Body>
void for_choices(const ExpertRouting& routing, Body body) {
  for (std::size_t i = 0; i < routing.chosen.size(); ++i)
    body(static_cast<std::int64_t>(i) / routing.top_k, routing.row[i], routing.chosen[i]);
}

template <typename T>
void permute(const OpCall& call, const Pointwise& work) {
  if (!work.backward) {
    const Matrix<T> x = matrix<T>(call.reads[0]), map = matrix<T>(call.reads[1]);
    const Matrix<T> y = matrix<T>(call.writes[0]), weights = matrix<T>(call.writes[1]);
    return for_choices(*call.routing, [&](std::int64_t token, std::int32_t row, std::int32_t expert) {
      copy_row(x.row(token), x.columns, y.row(row));
      *weights.row(row) = map.row(token)[expert];
    });
  }
  const Matrix<T> dy = matrix<T>(call.reads[0]), dweights = matrix<T>(call.reads[1]);
  const Matrix<T> dx = matrix<T>(call.writes[0]), dmap = matrix<T>(call.writes[1]);
  zero(dx);
  zero(dmap);
  for_choices(*call.routing, [&](std::int64_t token, std::int32_t row, std::int32_t expert) {
    add_row(dy.row(row), dy.columns, dx.row(token));
    dmap.row(token)[expert] = *dweights.row(row);
  });
}

template <typename T>
void unpermute(const OpCall& call, const Pointwise& work) {
  const Matrix<T> x = matrix<T>(call.reads[0]), y = matrix<T>(call.writes[0]);
  if (!work.backward) zero(y);
  for_choices(*call.routing, [&](std::int64_t token, std::int32_t row, std::int32_t) {
    work.backward ? copy_row(x.row(token), x.columns, y.row(row)) : add_row(x.row(row), x.columns, y.row(token));
  });
}

/// Rows by source and then expert against rows by expert and then source.
template <typename T>
void reorder(const ExpertRouting& routing, const View& from, const View& to, bool by_expert) {
  const Matrix<T> x = matrix<T>(from), y = matrix<T>(to);
  std::vector<std::int64_t> next(static_cast<std::size_t>(routing.local_experts), 0);
  const std::vector<std::int64_t> rows = routing.rows_by_expert();
  std::exclusive_scan(rows.begin(), rows.end(), next.begin(), std::int64_t{0});
  std::int64_t by_source = 0;
  for (const auto& source : routing.arriving)
    for (std::size_t e = 0; e < source.size(); ++e)
      for (std::int64_t i = 0; i < source[e]; ++i, ++by_source) {
        const std::int64_t sorted = next[e]++;
        copy_row(x.row(by_expert ? by_source : sorted), x.columns, y.row(by_expert ? sorted : by_source));
      }
}

template <typename T>
void expert_bias(const OpCall& call, const Pointwise& work) {
  const bool weighted = call.reads.size() > 2;
  const std::vector<std::int64_t> rows = call.routing->rows_by_expert();
  const bool adds = !work.row_parallel || call.facts->etp_index == 0;
  const Matrix<T> x = matrix<T>(call.reads[0]);  // y, or in backward dy
  const Matrix<T> bias = matrix<T>(call.reads[call.reads.size() - 1]);
  const T* weights = weighted ? matrix<T>(call.reads[1]).data : nullptr;
  std::int64_t i = 0;
  for (std::size_t e = 0; e < rows.size(); ++e) {
    const T* b = bias.row(static_cast<std::int64_t>(e));
    for (std::int64_t n = 0; n < rows[e]; ++n, ++i) {
      const T weight = weights != nullptr ? weights[i] : T{1};
      if (!work.backward) {
        T* y = matrix<T>(call.writes[0]).row(i);
        for (std::int64_t j = 0; j < x.columns; ++j) y[j] = x.row(i)[j] + (adds ? weight * b[j] : T{0});
        continue;
      }
      if (weighted) {
        T sum = 0;
        for (std::int64_t j = 0; j < x.columns; ++j) sum += x.row(i)[j] * b[j];
        *matrix<T>(call.writes[0]).row(i) = adds ? sum : T{0};
      }
      if (call.writes.size() == (weighted ? 1 : 0)) continue;  // frozen
      T* db = matrix<T>(call.writes[call.writes.size() - 1]).row(static_cast<std::int64_t>(e));
      for (std::int64_t j = 0; j < x.columns; ++j) db[j] += weight * x.row(i)[j];
    }
  }
}

}  // namespace

template <typename T>
void run_routed(const OpCall& call, const models::Pointwise& work) {
  switch (work.function) {
    case Function::route: return route<T>(call, work);
    case Function::permute: return permute<T>(call, work);
    case Function::unpermute: return unpermute<T>(call, work);
    case Function::sort_rows:
    case Function::unsort_rows:
      for (int i = 0; i < call.writes.size(); ++i)
        reorder<T>(*call.routing, call.reads[i], call.writes[i],
                   (work.function == Function::sort_rows) != work.backward);
      return;
    case Function::expert_bias: return expert_bias<T>(call, work);
    default: throw std::logic_error("not an op of a router");
  }
}

template <typename T, typename Out>
void grouped_gemm(const OpCall& call, const models::GroupedGemm& work, Fp32Gemm library) {
  std::int64_t first = 0, expert = 0;
  for (const std::int64_t rows : call.routing->rows_by_expert()) {
    const auto part = [&](auto whole) { return whole.rows_from(first, rows); };
    const auto of_expert = [&](auto whole) {
      return whole.rows_from(expert * (whole.rows / work.groups), whole.rows / work.groups);
    };
    const Matrix<T> x = matrix<T>(call.reads[0]), second = matrix<T>(call.reads[1]);  // second: w, or dy
    const Matrix<Out> y = matrix<Out>(call.writes[0]);
    if (rows > 0) {
      switch (work.role) {
        case models::GemmRole::forward:
          multiply(library, part(x), false, of_expert(second), true, Accumulate::no, part(y));
          break;
        case models::GemmRole::input_grad:
          multiply(library, part(x), false, of_expert(second), false, Accumulate::no, part(y));
          break;
        case models::GemmRole::weight_grad:
          multiply(library, part(second), true, part(x), false, Accumulate::yes, of_expert(y));
          break;
      }
    }
    first += rows;
    ++expert;
  }
}

template <typename T>
void run_grouped_gemm(const OpCall& call, const models::GroupedGemm& work, Fp32Gemm library) {
  with_output<T>(call, [&]<typename In, typename Out>() { grouped_gemm<In, Out>(call, work, library); });
}

/// Rows to the ranks that have their experts, or back.
void run_expert_exchange(const OpCall& call, const models::ExpertExchange& work) {
  const ExpertRouting& routing = *call.routing;
  for (int i = 0; i < call.writes.size(); ++i) {
    const std::int64_t columns = call.reads[i].columns;
    std::vector<std::int64_t> out = work.combine ? routing.received : routing.sent;
    std::vector<std::int64_t> in = work.combine ? routing.sent : routing.received;
    for (auto* counts : {&out, &in})
      for (std::int64_t& count : *counts) count *= columns;
    call.group->all_to_all(call.reads[i].data(), out, call.writes[i].data(), in, call.writes[i].dtype);
  }
}

/// ETP peers have different rows: a gather and its adjoint with a count for each of them.
void run_over_experts_tp(const OpCall& call, const models::Collective& work) {
  const ExpertRouting& routing = *call.routing;
  const auto ranks = static_cast<std::size_t>(call.group->size());
  const auto me = static_cast<std::size_t>(call.group->rank());
  for (int i = 0; i < call.writes.size(); ++i) {
    const View &x = call.reads[i], &y = call.writes[i];
    std::vector<std::int64_t> of_peer = routing.received_by_peer;
    for (std::int64_t& count : of_peer) count *= x.columns;
    const std::vector<std::int64_t> mine(ranks, of_peer[me]);
    const std::size_t bytes = static_cast<std::size_t>(of_peer[me]) * element_bytes(x.dtype);
    std::vector<std::byte> parts(ranks * bytes);
    if (work.kind == models::CollectiveKind::all_gather) {
      for (std::size_t r = 0; r < ranks && bytes > 0; ++r) std::memcpy(parts.data() + r * bytes, x.data(), bytes);
      call.group->all_to_all(parts.data(), mine, y.data(), of_peer, y.dtype);
      continue;
    }
    call.group->all_to_all(x.data(), of_peer, parts.data(), mine, y.dtype);
    std::vector<const void*> sources;
    for (std::size_t r = 0; r < ranks; ++r) sources.push_back(parts.data() + r * bytes);
    Reducer{.dtype = y.dtype}.ordered(y.data(), sources, static_cast<std::size_t>(of_peer[me]));
  }
}

template <typename T>
void weigh_activation(const OpCall& call, const models::Pointwise& work) {
  const int last = call.reads.size() - 1;
  const T* weights = matrix<T>(call.reads[last]).data;
  if (!work.backward) {
    const Matrix<T> y = matrix<T>(call.writes[0]);
    for (std::int64_t i = 0; i < y.rows; ++i)
      for (std::int64_t j = 0; j < y.columns; ++j) y.row(i)[j] *= weights[i];
    return;
  }
  // The kernel has left dh of the unweighted result; here its weight, and the weight's own gradient from act(h).
  const Matrix<T> da = matrix<T>(call.reads[0]), h = matrix<T>(call.reads[1]);
  const Matrix<T> dh = matrix<T>(call.writes[0]), dweights = matrix<T>(call.writes[1]);
  std::vector<T> memory(static_cast<std::size_t>(da.rows * da.columns));
  const Matrix<T> a{memory.data(), da.rows, da.columns, da.columns};
  if (work.gated) {
    activate_gated<T>(work.activation, h.columns_from(0, a.columns), h.columns_from(a.columns, a.columns), a);
  } else {
    activate<T>(work.activation, h, a);
  }
  for (std::int64_t i = 0; i < da.rows; ++i) {
    T sum = 0;
    for (std::int64_t j = 0; j < da.columns; ++j) sum += da.row(i)[j] * a.row(i)[j];
    *dweights.row(i) = sum;
    for (std::int64_t j = 0; j < dh.columns; ++j) dh.row(i)[j] *= weights[i];
  }
}

#define EXEC_INSTANTIATE(T)                                                               \
  template void run_routed<T>(const OpCall&, const models::Pointwise&);                   \
  template void run_grouped_gemm<T>(const OpCall&, const models::GroupedGemm&, Fp32Gemm); \
  template void weigh_activation<T>(const OpCall&, const models::Pointwise&);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)
template void run_grouped_gemm<BFloat16>(const OpCall&, const models::GroupedGemm&, Fp32Gemm);

}  // namespace exec::cpu
