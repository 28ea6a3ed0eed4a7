#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "models/run_draft.h"

namespace models {
namespace {

std::string text(std::int64_t number) { return std::to_string(number); }

/// Refuses the size of `key` unless it divides `whole`.
void must_divide(const RunDraft& draft, std::string_view key, std::int64_t size, std::int64_t whole,
                 const std::string& what) {
  if (size > 1 && whole % size != 0) refuse(draft.node, key, "must divide " + what + " (" + text(whole) + ")");
}

void check_attention(const RunDraft& draft, const AttentionSpec& attention) {
  const int tp = draft.run.layout.tp;
  must_divide(draft, "tp", tp, attention.heads, "the attention heads");
  // With fewer key-value heads than ranks each head is kept by several.
  if (!attention.mla && attention.kv_heads % tp != 0 && tp % attention.kv_heads != 0) {
    refuse(draft.node, "tp",
           "must divide the key-value heads (" + text(attention.kv_heads) + ") or be a multiple of them");
  }
}

void check_experts(const RunDraft& draft, const MoeSpec& moe) {
  const Layout& layout = draft.run.layout;
  must_divide(draft, "ep", layout.ep, moe.experts, "the experts");
  must_divide(draft, "etp", layout.etp, moe.expert_ffn, "the experts' intermediate size");
  must_divide(draft, "tp", layout.tp, moe.shared_ffn, "the shared expert's intermediate size");
  const auto options = draft.node.find("moe");
  const auto factor = options ? options->find("capacity_factor") : std::nullopt;
  if (factor && factor->positive() * moe.top_k > moe.experts) {  // then each expert has room for every token
    factor->fail("must be at most experts/top_k = " + text(moe.experts) + "/" + text(moe.top_k));
  }
}

void check_layers(const RunDraft& draft) {
  const int tp = draft.run.layout.tp;
  bool has_experts = false;
  for (const LayerSpec& layer : draft.run.model.kinds) {
    if (layer.attention) check_attention(draft, *layer.attention);
    if (layer.mlp) must_divide(draft, "tp", tp, layer.mlp->ffn, "the intermediate size");
    if (layer.mamba) {
      must_divide(draft, "tp", tp, layer.mamba->heads, "the Mamba heads");
      must_divide(draft, "tp", tp, layer.mamba->groups, "the Mamba groups");
    }
    if (layer.moe) check_experts(draft, *layer.moe);
    has_experts |= layer.moe.has_value();
  }
  if (has_experts) return;
  const std::string rule = "must be 1: model " + draft.run.model.name + " has no experts";
  if (draft.run.layout.ep > 1) refuse(draft.node, "ep", rule);
  if (draft.run.layout.etp > 1) refuse(draft.node, "etp", rule);
}

void check_expert_groups(const RunDraft& draft) {
  const Layout& layout = draft.run.layout;
  const std::int64_t stage = std::int64_t{layout.tp} * layout.cp * layout.dp;
  const std::int64_t group = std::int64_t{layout.ep} * layout.etp;
  if (stage % group != 0) {
    refuse(draft.node, layout.ep > 1 ? "ep" : "etp",
           "must give ep*etp = " + text(layout.ep) + "*" + text(layout.etp) + " that divides the " + text(stage) +
               " GPUs of a pipeline stage (tp*cp*dp)");
  }
}

bool is_causal(const Model& model) {
  return std::any_of(model.kinds.begin(), model.kinds.end(),
                     [](const LayerSpec& layer) { return layer.attention && layer.attention->causal; });
}

void check_sequence(const RunDraft& draft) {
  const Layout& layout = draft.run.layout;
  if (layout.cp > 1) {
    // Causal work is balanced by giving each rank one piece from either end.
    const bool balanced = layout.cp_kind != CpKind::all_to_all && is_causal(draft.run.model);
    const std::int64_t pieces = std::int64_t{layout.cp} * (balanced ? 2 : 1);
    if (layout.seq_len % pieces != 0) {
      draft.node.at("seq_len").fail(std::string("must be a multiple of ") + (balanced ? "2*cp" : "cp") + " = " +
                                    text(pieces));
    }
  }
  const std::int64_t local = layout.seq_len / layout.cp;
  if (layout.sp && local % layout.tp != 0) {
    draft.node.at("seq_len").fail("must be a multiple of cp*tp = " + text(layout.cp) + "*" + text(layout.tp) +
                                  " with sequence parallelism");
  }
}

}  // namespace

void check_layout(const RunDraft& draft) {
  check_layers(draft);
  check_expert_groups(draft);
  check_sequence(draft);
}

}  // namespace models
