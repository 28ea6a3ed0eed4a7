#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "models/layout_rules.h"
#include "models/run_draft.h"

namespace models {
namespace {

using Refused = std::optional<Refusal>;

std::string text(std::int64_t number) { return std::to_string(number); }

/// Refuses the size of `key` unless it divides `whole`.
Refused must_divide(const char* key, std::int64_t size, std::int64_t whole, const char* what) {
  if (size <= 1 || whole % size == 0) return {};
  return Refusal{key, std::string("must divide ") + what + " (" + text(whole) + ")"};
}

Refused check_attention(const Layout& layout, const AttentionSpec& attention) {
  const int tp = layout.tp;
  if (auto refused = must_divide("tp", tp, attention.heads, "the attention heads")) return refused;
  // With fewer key-value heads than ranks each head is kept by several.
  if (attention.mla || attention.kv_heads % tp == 0 || tp % attention.kv_heads == 0) return {};
  return Refusal{"tp", "must divide the key-value heads (" + text(attention.kv_heads) + ") or be a multiple of them"};
}

Refused check_experts(const Layout& layout, const MoeSpec& moe) {
  if (auto refused = must_divide("ep", layout.ep, moe.experts, "the experts")) return refused;
  if (auto refused = must_divide("etp", layout.etp, moe.expert_ffn, "the experts' intermediate size")) return refused;
  return must_divide("tp", layout.tp, moe.shared_ffn, "the shared expert's intermediate size");
}

Refused check_layer(const Layout& layout, const LayerSpec& layer) {
  const int tp = layout.tp;
  Refused refused;
  if (layer.attention) refused = check_attention(layout, *layer.attention);
  if (!refused && layer.mlp) refused = must_divide("tp", tp, layer.mlp->ffn, "the intermediate size");
  if (!refused && layer.mamba) refused = must_divide("tp", tp, layer.mamba->heads, "the Mamba heads");
  if (!refused && layer.mamba) refused = must_divide("tp", tp, layer.mamba->groups, "the Mamba groups");
  if (!refused && layer.moe) refused = check_experts(layout, *layer.moe);
  return refused;
}

Refused check_layers(const Model& model, const Layout& layout) {
  bool has_experts = false;
  for (const LayerSpec& layer : model.kinds) {
    if (auto refused = check_layer(layout, layer)) return refused;
    has_experts |= layer.moe.has_value();
  }
  if (has_experts || (layout.ep == 1 && layout.etp == 1)) return {};
  return Refusal{layout.ep > 1 ? "ep" : "etp", "must be 1: model " + model.name + " has no experts"};
}

Refused check_expert_groups(const Layout& layout) {
  const std::int64_t stage = std::int64_t{layout.tp} * layout.cp * layout.dp;
  const std::int64_t group = std::int64_t{layout.ep} * layout.etp;
  if (stage % group == 0) return {};
  return Refusal{layout.ep > 1 ? "ep" : "etp", "must give ep*etp = " + text(layout.ep) + "*" + text(layout.etp) +
                                                   " that divides the " + text(stage) +
                                                   " GPUs of a pipeline stage (tp*cp*dp)"};
}

bool is_causal(const Model& model) {
  return std::any_of(model.kinds.begin(), model.kinds.end(),
                     [](const LayerSpec& layer) { return layer.attention && layer.attention->causal; });
}

/// The ops of a block count the steps of a ring in eight bits.
constexpr int kLongestRing = 128;

Refused check_sequence(const Model& model, const Layout& layout) {
  if (layout.cp_kind == CpKind::ring && layout.cp > kLongestRing)
    return Refusal{"cp", "must be at most " + text(kLongestRing) + " with a ring"};
  if (layout.cp > 1) {
    // Causal work is balanced by giving each rank one piece from either end.
    const bool balanced = layout.cp_kind != CpKind::all_to_all && is_causal(model);
    const std::int64_t pieces = std::int64_t{layout.cp} * (balanced ? 2 : 1);
    if (layout.seq_len % pieces != 0) {
      return Refusal{"seq_len",
                     std::string("must be a multiple of ") + (balanced ? "2*cp" : "cp") + " = " + text(pieces)};
    }
  }
  const std::int64_t local = layout.seq_len / layout.cp;
  if (!layout.sp || local % layout.tp == 0) return {};
  return Refusal{"seq_len", "must be a multiple of cp*tp = " + text(layout.cp) + "*" + text(layout.tp) +
                                " with sequence parallelism"};
}

void check_capacity(const RunDraft& draft) {
  const auto options = draft.node.find("moe");
  const auto factor = options ? options->find("capacity_factor") : std::nullopt;
  if (!factor) return;
  for (const LayerSpec& layer : draft.run.model.kinds) {
    if (layer.moe &&
        factor->positive() * layer.moe->top_k > layer.moe->experts) {  // then each has room for every token
      factor->fail("must be at most experts/top_k = " + text(layer.moe->experts) + "/" + text(layer.moe->top_k));
    }
  }
}

}  // namespace

Refused refused_by_model(const Model& model, const Layout& layout) {
  if (auto refused = check_layers(model, layout)) return refused;
  if (auto refused = check_expert_groups(layout)) return refused;
  return check_sequence(model, layout);
}

void check_layout(const RunDraft& draft) {
  check_capacity(draft);
  insist(draft.node, refused_by_model(draft.run.model, draft.run.layout));
}

}  // namespace models
