#pragma once

#include "exec/cpu/matrix.h"

namespace exec::cpu {

enum class RouterScore {
  softmax,            ///< over all experts (Qwen3-MoE, Mixtral)
  softmax_of_chosen,  ///< over the chosen experts' logits alone (GPT-OSS)
  sigmoid             ///< of each logit (DeepSeek V3)
};

/// How a token's experts and their weights follow from its logits.
struct RouterRule {
  RouterScore score = RouterScore::softmax;
  std::int64_t top_k = 1;
  bool normalized = false;  ///< weights are divided by their sum; softmax_of_chosen sums to 1 anyway
  double scaling = 1;       ///< a factor of the weights, after that
  /// Group-limited choice (DeepSeek V3, arXiv 2412.19437, section 2.1.2): only experts of the `chosen_groups` best of
  /// `groups` equal groups; a group's value is the sum of its two best experts' values.
  std::int64_t groups = 1, chosen_groups = 1;
};

/// The top_k experts of each row, best first; equal ones by number. An expert's value is its logit or, for `sigmoid`,
/// its score; `correction` [experts] or null is added to it, for the choice alone.
/// logits [rows, experts]; chosen [rows * top_k].
template <typename T>
void choose_experts(const RouterRule& rule, Matrix<const T> logits, ConstPointer<T> correction, std::int32_t* chosen);

/// Weights [rows, top_k] of the chosen experts, whoever chose them (a forced, balanced choice too).
template <typename T>
void expert_weights(const RouterRule& rule, ConstMatrix<T> logits, const std::int32_t* chosen, Matrix<T> weights);

/// Writes dlogits [rows, experts]; the choice counts as constant. A row's chosen experts are distinct.
template <typename T>
void expert_weights_backward(const RouterRule& rule, ConstMatrix<T> dweights, ConstMatrix<T> logits,
                             const std::int32_t* chosen, Matrix<T> dlogits);

}  // namespace exec::cpu
