#include "exec/cpu/router.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <vector>

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

/// DeepSeek V3's guard of the division by a sum of sigmoids (inference/model.py and transformers).
constexpr double kLeastSum = 1e-20;

/// The `count` greatest of values, greatest first, equal ones by index.
template <typename T>
std::vector<std::int32_t> top(const std::vector<T>& values, std::int64_t count) {
  std::vector<std::int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto better = [&](std::int32_t a, std::int32_t b) {
    const T left = values[static_cast<std::size_t>(a)], right = values[static_cast<std::size_t>(b)];
    return left > right || (left == right && a < b);
  };
  std::partial_sort(order.begin(), order.begin() + count, order.end(), better);
  order.resize(static_cast<std::size_t>(count));
  return order;
}

/// -infinity for the experts of groups that are not chosen.
template <typename T>
void limit_to_groups(const RouterRule& rule, std::vector<T>& values) {
  const std::int64_t size = static_cast<std::int64_t>(values.size()) / rule.groups;
  std::vector<T> group_values;
  for (std::int64_t group = 0; group < rule.groups; ++group) {
    const auto first = values.begin() + group * size;
    const std::vector<T> members(first, first + size);
    T sum = 0;
    for (const std::int32_t member : top(members, std::min<std::int64_t>(2, size)))
      sum += members[static_cast<std::size_t>(member)];
    group_values.push_back(sum);
  }
  std::vector<bool> kept(static_cast<std::size_t>(rule.groups));
  for (const std::int32_t group : top(group_values, rule.chosen_groups)) kept[static_cast<std::size_t>(group)] = true;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!kept[i / static_cast<std::size_t>(size)]) values[i] = -static_cast<T>(HUGE_VAL);
}

/// Whether weights are scores over the sum of the chosen ones' scores.
bool is_divided(const RouterRule& rule) { return rule.normalized || rule.score == RouterScore::softmax_of_chosen; }

/// A row's chosen scores before normalisation, and what their gradient needs.
template <typename T>
struct ChosenScores {
  std::vector<T> scores;     ///< [top_k]
  T maximum = 0, total = 1;  ///< of the softmax over all experts
  T sum = 1;                 ///< of the scores if they are to be divided by it, else 1
};

template <typename T>
ChosenScores<T> chosen_scores(const RouterRule& rule, const T* logits, std::int64_t experts,
                              const std::int32_t* chosen) {
  ChosenScores<T> row;
  if (rule.score == RouterScore::softmax) {
    row.maximum = *std::max_element(logits, logits + experts);
    row.total = lane_sum<T>(experts, [&](std::int64_t e) { return std::exp(logits[e] - row.maximum); });
  } else if (rule.score == RouterScore::softmax_of_chosen) {
    row.maximum = logits[chosen[0]];
    for (std::int64_t j = 1; j < rule.top_k; ++j) row.maximum = std::max(row.maximum, logits[chosen[j]]);
  }
  T sum = 0;
  for (std::int64_t j = 0; j < rule.top_k; ++j) {
    const T logit = logits[chosen[j]];
    row.scores.push_back(rule.score == RouterScore::sigmoid ? sigmoid(logit)
                                                            : std::exp(logit - row.maximum) / row.total);
    sum += row.scores.back();
  }
  if (is_divided(rule)) row.sum = sum + static_cast<T>(kLeastSum);
  return row;
}

/// One row of expert_weights_backward. With w = s / sum(s): ds = (dw - sum over j of dw_j w_j) / sum(s).
template <typename T>
void row_backward(const RouterRule& rule, const T* dweights, const T* logits, std::int64_t experts,
                  const std::int32_t* chosen, T* dlogits) {
  const ChosenScores<T> row = chosen_scores(rule, logits, experts, chosen);
  const T scaling = static_cast<T>(rule.scaling);
  T average = 0;
  if (is_divided(rule))
    for (std::int64_t j = 0; j < rule.top_k; ++j)
      average += scaling * dweights[j] * row.scores[static_cast<std::size_t>(j)] / row.sum;
  std::fill_n(dlogits, experts, T{0});
  T drawn = 0;  // sum over the chosen of ds s
  for (std::int64_t j = 0; j < rule.top_k; ++j) {
    const T score = row.scores[static_cast<std::size_t>(j)];
    const T dscore = (scaling * dweights[j] - average) / row.sum;
    dlogits[chosen[j]] += dscore * score * (rule.score == RouterScore::sigmoid ? T{1} - score : T{1});
    drawn += dscore * score;
  }
  if (rule.score != RouterScore::softmax) return;  // scores of the chosen do not depend on other logits
  for (std::int64_t e = 0; e < experts; ++e) dlogits[e] -= drawn * std::exp(logits[e] - row.maximum) / row.total;
}

}  // namespace

template <typename T>
void choose_experts(const RouterRule& rule, Matrix<const T> logits, ConstPointer<T> correction, std::int32_t* chosen) {
  assert(rule.top_k >= 1 && rule.top_k <= logits.columns && logits.columns % rule.groups == 0);
  assert(rule.chosen_groups <= rule.groups && rule.top_k <= logits.columns / rule.groups * rule.chosen_groups);
  for (std::int64_t i = 0; i < logits.rows; ++i) {
    std::vector<T> values(logits.row(i), logits.row(i) + logits.columns);
    if (rule.score == RouterScore::sigmoid)
      for (T& value : values) value = sigmoid(value);
    if (correction != nullptr)
      for (std::size_t e = 0; e < values.size(); ++e) values[e] += correction[e];
    if (rule.chosen_groups < rule.groups) limit_to_groups(rule, values);
    const std::vector<std::int32_t> best = top(values, rule.top_k);
    std::copy(best.begin(), best.end(), chosen + i * rule.top_k);
  }
}

template <typename T>
void expert_weights(const RouterRule& rule, ConstMatrix<T> logits, const std::int32_t* chosen, Matrix<T> weights) {
  assert(weights.rows == logits.rows && weights.columns == rule.top_k);
  for (std::int64_t i = 0; i < logits.rows; ++i) {
    const ChosenScores<T> row = chosen_scores(rule, logits.row(i), logits.columns, chosen + i * rule.top_k);
    for (std::int64_t j = 0; j < rule.top_k; ++j)
      weights.row(i)[j] = static_cast<T>(rule.scaling) * row.scores[static_cast<std::size_t>(j)] / row.sum;
  }
}

template <typename T>
void expert_weights_backward(const RouterRule& rule, ConstMatrix<T> dweights, ConstMatrix<T> logits,
                             const std::int32_t* chosen, Matrix<T> dlogits) {
  assert(dweights.rows == logits.rows && dweights.columns == rule.top_k && dlogits.columns == logits.columns);
  for (std::int64_t i = 0; i < logits.rows; ++i)
    row_backward(rule, dweights.row(i), logits.row(i), logits.columns, chosen + i * rule.top_k, dlogits.row(i));
}

#define EXEC_INSTANTIATE(T)                                                                                          \
  template void choose_experts<T>(const RouterRule&, Matrix<const T>, ConstPointer<T>, std::int32_t*);               \
  template void expert_weights<T>(const RouterRule&, Matrix<const T>, const std::int32_t*, Matrix<T>);               \
  template void expert_weights_backward<T>(const RouterRule&, Matrix<const T>, Matrix<const T>, const std::int32_t*, \
                                           Matrix<T>);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
