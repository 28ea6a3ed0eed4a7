#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "models/run_draft.h"

namespace models {
namespace {

using hw::Node;

constexpr std::pair<std::string_view, bool RecomputeModules::*> kModules[] = {
    {"core_attn", &RecomputeModules::core_attention},
    {"layernorm", &RecomputeModules::layernorm},
    {"mla_up_proj", &RecomputeModules::mla_up_proj},
    {"mlp", &RecomputeModules::mlp},
    {"moe", &RecomputeModules::moe},
    {"moe_act", &RecomputeModules::moe_act},
    {"shared_experts", &RecomputeModules::shared_experts},
    {"self_attn", &RecomputeModules::self_attention},
    {"input_layernorm", &RecomputeModules::layernorm},
    {"post_attention_layernorm", &RecomputeModules::layernorm},
};

/// Sets the module of that name; true for `transformer_block`, which is no part of a layer but all of it.
bool read_module(const Node& name, RecomputeModules& modules) {
  const std::string word = name.text();
  if (word == "transformer_block") return true;
  for (const auto& [known, member] : kModules) {
    if (known == word) return modules.*member = true, false;
  }
  std::vector<std::string> names = {"transformer_block"};
  for (const auto& [known, member] : kModules) names.emplace_back(known);
  const auto meant = hw::nearest(word, names);
  std::string rule = "must be a module that recompute knows";
  if (meant) rule += " (did you mean \"" + *meant + "\"?)";
  name.fail(rule);
}

/// `layers` of method `block` are per rank; elsewhere the data state how many of all layers are replayed.
void read_layers(const Node& node, RunDraft& draft, Recompute& recompute) {
  const auto stated = node.find("layers");
  const int layers = stated ? stated->non_negative_int() : 0;
  if (layers > static_cast<int>(draft.run.model.layers.size())) {
    stated->fail("must be at most the model's " + std::to_string(draft.run.model.layers.size()) + " layers");
  }
  const auto method = node.find("method");
  recompute.block = method && method->choice({"uniform", "block"}) == 1;
  const bool some = layers > 0 && layers < static_cast<int>(draft.run.model.layers.size());
  if (recompute.block) {
    if (some) recompute.layers = layers;
  } else if (!method && some) {
    recompute.block = true;
    recompute.layers = layers;
    draft.assume("recompute of " + std::to_string(layers) + " layers without a method: the first ones of each rank");
  }
}

void read_stated(const Node& node, RunDraft& draft) {
  node.only({"mode", "modules", "layers", "method"});
  Recompute& recompute = draft.run.recompute;
  recompute.mode = static_cast<RecomputeMode>(node.at("mode").choice({"none", "selective", "full"}));
  bool whole_block = false;
  const auto modules = node.find("modules");
  if (modules) {
    for (const Node& name : modules->elements()) whole_block |= read_module(name, recompute.modules);
  }
  const bool some = recompute.modules != RecomputeModules{};
  if (recompute.mode == RecomputeMode::none && (some || whole_block)) modules->fail("must be empty with mode \"none\"");
  if (recompute.mode == RecomputeMode::selective && whole_block) modules->fail("must name parts of a layer, not all");
  if (recompute.mode == RecomputeMode::selective && !some) {
    recompute.modules.core_attention = true;  // Megatron's default
    draft.assume("selective recompute without modules: core attention");
  }
  read_layers(node, draft, recompute);
  if (recompute.mode == RecomputeMode::full && some && !whole_block) {
    // AutoModel checkpoints the named parts of each layer one by one, so their inputs stay.
    recompute.mode = RecomputeMode::selective;
  }
  if (recompute.mode != RecomputeMode::full) recompute.layers = 0, recompute.block = false;
}

void read_scope(const Node& scope, RunDraft& draft) {
  const std::string word = scope.text();
  CudaGraph& graph = draft.run.graph;
  if (word == "full_iteration") {
    graph.full_iteration = true;
  } else if (word == "attn") {
    graph.attention = true;
  } else if (word == "mlp") {
    graph.mlp = true;
  } else if (word == "mamba") {
    graph.mamba = true;
  } else if (word == "moe_router") {
    graph.moe_router = true;
  } else if (word == "moe_preprocess") {
    graph.moe_preprocess = true;
  } else if (word.starts_with("per-layer")) {
    graph.layer = true;
  } else {
    draft.not_understood_value(scope);
  }
}

/// `none`, `full_iteration`, or an implementation that captures `scope` (whole layers if that is empty).
void read_implementation(const Node& implementation, bool has_scope, RunDraft& draft) {
  const std::string word = implementation.text();
  if (word == "full_iteration") {
    draft.run.graph.full_iteration = true;
  } else if (word == "transformer_engine" || word == "local") {
    draft.run.graph.layer = draft.run.graph.layer || !has_scope;
  } else if (word != "none") {
    draft.not_understood_value(implementation);
  }
}

void read_graph_object(const Node& graph, RunDraft& draft) {
  const auto implementation = graph.find("impl");
  const bool is_off = !implementation || (implementation->is_text() && implementation->text() == "none");
  bool has_scope = false;
  for (const std::string& key : graph.keys()) {
    const auto value = graph.find(key);
    if (!value || key == "impl") continue;
    if (key != "scope") {
      draft.not_understood(*value);
      continue;
    }
    for (const Node& scope : value->is_text() ? std::vector<Node>{*value} : value->elements()) {
      if (!is_off) read_scope(scope, draft);
      has_scope = true;
    }
  }
  if (implementation) read_implementation(*implementation, has_scope, draft);
}

void assume_cuda_graph(RunDraft& draft) {
  Run& run = draft.run;
  if (!draft.stack.graphs_moe || run.model.family() != Family::moe ||
      !run.cluster.gpu.architecture.starts_with("sm_10"))
    return;
  // Shapes that do not depend on the routing let whole layers be captured.
  if (draft.drops_tokens) {
    run.graph.layer = true;
  } else {
    run.graph.attention = run.graph.moe_router = run.graph.moe_preprocess = true;
  }
  draft.assume(std::string("cuda_graph not stated: ") +
               (draft.drops_tokens ? "whole layers" : "attn, moe_router, moe_preprocess") +
               ", as most recipes of stack " + draft.stack.traits.stack + " have it");
}

}  // namespace

void read_recompute(RunDraft& draft) {
  Run& run = draft.run;
  if (const auto stated = draft.node.find("recompute")) return read_stated(*stated, draft);
  if (draft.replays_block_by_default) {
    run.recompute.mode = RecomputeMode::full;
    draft.assume("recompute not stated: full, as extra.activation_checkpointing says");
  } else if (draft.stack.recompute) {
    run.recompute.mode = *draft.stack.recompute;
    run.recompute.modules.core_attention = run.recompute.mode == RecomputeMode::selective;
    constexpr const char* kNames[] = {"none", "selective (core attention)", "full"};
    draft.assume("recompute not stated: " + std::string(kNames[static_cast<int>(run.recompute.mode)]) +
                 ", the default of stack " + draft.stack.traits.stack);
  } else {
    run.recompute_known = false;
    draft.assume("recompute not stated: none, or the least that fits");
  }
}

void read_cuda_graph(RunDraft& draft) {
  const auto graph = draft.node.find("cuda_graph");
  if (!graph) {
    assume_cuda_graph(draft);
  } else if (graph->is_text()) {
    read_implementation(*graph, false, draft);
  } else if (graph->is_object()) {
    read_graph_object(*graph, draft);
  } else {
    graph->fail("must be an object or \"none\"");
  }
  Traits& traits = draft.run.traits;
  traits.graphed_host = draft.run.graph.full_iteration;
  // A captured step cannot wait for the device: counts stay there.
  if (draft.run.graph.layer) traits.sync_per_dispatch = false;
  if (traits.graphed_host) traits.sync_per_dispatch = traits.sync_per_microbatch = false;
}

}  // namespace models
