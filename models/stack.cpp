#include "models/stack.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace models {
namespace {

using hw::DType;
using hw::Node;

template <typename T>
using Named = std::pair<std::string_view, T>;

constexpr Named<bool Traits::*> kFlags[] = {
    {"tp_overlap", &Traits::tp_overlap},
    {"dp_reduce_overlap", &Traits::dp_reduce_overlap},
    {"dp_gather_overlap", &Traits::dp_gather_overlap},
    {"optimizer_overlap", &Traits::optimizer_overlap},
    {"p2p_overlap", &Traits::p2p_overlap},
    {"p2p_scatter", &Traits::p2p_scatter},
    {"ep_overlap", &Traits::ep_overlap},
    {"delay_wgrad", &Traits::delay_wgrad},
    {"shared_expert_overlap", &Traits::shared_expert_overlap},
    {"fsdp_prefetch", &Traits::fsdp_prefetch},
    {"fsdp_defer_reduce", &Traits::fsdp_defer_reduce},
    {"fsdp_once_per_step", &Traits::fsdp_once_per_step},
    {"router_gemm", &Traits::router_gemm},
    {"fused_rope", &Traits::fused_rope},
    {"fused_activation", &Traits::fused_activation},
    {"fused_clamped_glu", &Traits::fused_clamped_glu},
    {"fused_loss", &Traits::fused_loss},
    {"narrow_loss", &Traits::narrow_loss},
    {"fused_norm", &Traits::fused_norm},
    {"fused_bias_dropout", &Traits::fused_bias_dropout},
    {"fused_permute", &Traits::fused_permute},
    {"fp8_attention", &Traits::fp8_attention},
    {"fp8_output_proj", &Traits::fp8_output_proj},
    {"compiled", &Traits::compiled},
    {"separate_qkv", &Traits::separate_qkv},
    {"splits_are_views", &Traits::splits_are_views},
    {"fp32_residual", &Traits::fp32_residual},
    {"autocast", &Traits::autocast},
    {"master_weights", &Traits::master_weights},
    {"fused_optimizer", &Traits::fused_optimizer},
    {"clip_gradients", &Traits::clip_gradients},
    {"distributed_optimizer", &Traits::distributed_optimizer},
    {"dtensor", &Traits::dtensor},
    {"sync_per_microbatch", &Traits::sync_per_microbatch},
    {"sync_per_dispatch", &Traits::sync_per_dispatch},
    {"profiled_schedule", &Traits::profiled_schedule},
    {"post_validation_optimizer", &Traits::post_validation_optimizer},
    {"flush_per_local_batch", &Traits::flush_per_local_batch},
    {"count_ends_in_split", &Traits::count_ends_in_split},
    {"recompute_early_stop", &Traits::recompute_early_stop},
    {"recompute_mtp", &Traits::recompute_mtp},
};

constexpr Named<bool Stack::*> kStackFlags[] = {
    {"fully_sharded", &Stack::fully_sharded},
    {"grads_in_reduce_dtype", &Stack::grads_in_reduce_dtype},
    {"graphs_moe", &Stack::graphs_moe},
    {"quantised_gather", &Stack::quantised_gather},
};

constexpr Named<double Traits::*> kNumbers[] = {
    {"capacity_factor", &Traits::capacity_factor},
    {"dropout", &Traits::dropout},
    {"host_op_us", &Traits::host_op_us},
    {"allocator_overhead_gib", &Traits::allocator_overhead_gib},
};

constexpr Named<DType Traits::*> kDTypes[] = {
    {"param_dtype", &Traits::param_dtype},
    {"grad_dtype", &Traits::grad_dtype},
    {"grad_reduce_dtype", &Traits::grad_reduce_dtype},
    {"param_gather_dtype", &Traits::param_gather_dtype},
    {"moment_dtype", &Traits::moment_dtype},
};

template <typename T, std::size_t N>
const T* named(const Named<T> (&table)[N], std::string_view key) {
  for (const auto& [name, value] : table) {
    if (name == key) return &value;
  }
  return nullptr;
}

DType kept_type(const Node& node) {
  constexpr std::array kTypes = {DType::fp32, DType::bf16, DType::fp16};
  return kTypes[static_cast<std::size_t>(node.choice({"fp32", "bf16", "fp16"}))];
}

void read_choice(std::string_view key, const Node& value, Stack& stack) {
  const auto at = [&value](std::initializer_list<std::string_view> words) { return value.choice(words); };
  Traits& traits = stack.traits;
  if (key == "attention") {
    traits.attention = static_cast<AttentionBackend>(at({"fused", "flash2", "flex", "sdpa", "unfused", "triton"}));
  } else if (key == "dispatcher") {
    traits.dispatcher = static_cast<Dispatcher>(at({"alltoall", "allgather", "deepep", "hybridep"}));
  } else if (key == "wide_dispatcher") {
    stack.wide_dispatcher = static_cast<Dispatcher>(at({"alltoall", "allgather", "deepep", "hybridep"}));
  } else if (key == "expert_gemm") {
    traits.expert_gemm = static_cast<ExpertGemm>(at({"grouped", "fused_grouped", "loop", "gmm", "torch_grouped"}));
  } else if (key == "routing") {
    traits.routing = static_cast<Routing>(at({"balanced_random", "contiguous"}));
  } else if (key == "flops") {
    stack.flops =
        static_cast<FlopsConvention>(at({"causal", "full", "six_n", "megatron_bridge", "megatron_bridge_2604",
                                         "automodel", "automodel_2025", "dfm", "llm_foundry", "automodel_2025_09"}));
  } else if (key == "fp8") {
    constexpr std::array kRecipes = {Precision::fp8_cs, Precision::fp8_ds, Precision::fp8_blockwise, Precision::mxfp8};
    stack.fp8 = kRecipes[static_cast<std::size_t>(at({"fp8-cs", "fp8-ds", "fp8-blockwise", "mxfp8"}))];
  } else if (key == "fsdp_zero") {
    stack.fsdp_zero = at({"2", "3"}) == 0 ? Zero::gradients : Zero::parameters;
  } else if (key == "cp_kind") {
    stack.cp_kind = static_cast<CpKind>(at({"ring", "all_gather", "all_to_all"}));
  } else if (key == "stage_split") {
    stack.stage_split = static_cast<StageSplit>(at({"even", "megatron"}));
  } else {
    stack.recompute = static_cast<RecomputeMode>(at({"none", "selective", "full"}));
  }
}

constexpr std::string_view kChoices[] = {"attention", "dispatcher", "wide_dispatcher", "expert_gemm", "routing",
                                         "flops",     "fp8",        "fsdp_zero",       "cp_kind",     "stage_split",
                                         "recompute"};

std::vector<std::string> trait_names() {
  std::vector<std::string> names(std::begin(kChoices), std::end(kChoices));
  for (const auto& entry : kFlags) names.emplace_back(entry.first);
  for (const auto& entry : kStackFlags) names.emplace_back(entry.first);
  for (const auto& entry : kNumbers) names.emplace_back(entry.first);
  for (const auto& entry : kDTypes) names.emplace_back(entry.first);
  return names;
}

void read_trait(const std::string& key, const Node& trait, Stack& stack) {
  trait.only({"value", "origin"});
  const Node value = trait.at("value");
  trait.at("origin").text();  // every trait says where it is known from
  if (const auto* flag = named(kFlags, key)) {
    stack.traits.*(*flag) = value.boolean();
  } else if (const auto* stack_flag = named(kStackFlags, key)) {
    stack.*(*stack_flag) = value.boolean();
  } else if (const auto* number = named(kNumbers, key)) {
    stack.traits.*(*number) = value.non_negative();
  } else if (const auto* type = named(kDTypes, key)) {
    stack.traits.*(*type) = kept_type(value);
  } else if (std::find(std::begin(kChoices), std::end(kChoices), key) != std::end(kChoices)) {
    read_choice(key, value, stack);
  } else {
    const auto meant = hw::nearest(key, trait_names());
    trait.fail("unknown trait" + (meant ? " (did you mean \"" + *meant + "\"?)" : std::string()));
  }
}

void read_traits(const Node& traits, Stack& stack) {
  for (const std::string& key : traits.keys()) read_trait(key, traits.at(key), stack);
}

/// The first run of dotted numbers in a text: 26.04.01 of `nemo-automodel:26.04.01 + main`.
std::vector<int> release_numbers(const std::string& text) {
  const auto digit = [&text](std::size_t i) {
    return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0;
  };
  std::vector<int> numbers;
  std::size_t at = 0;
  while (at < text.size() && !digit(at)) ++at;
  while (digit(at)) {
    int number = 0;
    for (; digit(at); ++at) number = number < 100'000'000 ? 10 * number + (text[at] - '0') : number;
    numbers.push_back(number);
    if (at + 1 < text.size() && text[at] == '.' && digit(at + 1)) ++at;
  }
  return numbers;
}

bool applies(const Node& entry, const std::string& release, bool newest) {
  const auto from = entry.find("from");
  if (const auto match = entry.find("match")) {
    if (from) match->fail("must not stand beside \"from\"");
    return !release.empty() && release.find(match->text()) != std::string::npos;
  }
  const std::string first = entry.at("from").text();
  if (release_numbers(first).empty()) from->fail("must be a release such as 26.06");
  return newest || release_at_least(release, first);
}

}  // namespace

bool release_at_least(const std::string& release, const std::string& from) {
  const std::vector<int> have = release_numbers(release);
  return !have.empty() && have >= release_numbers(from);
}

Stack parse_stack(const Node& node, const std::string& release) {
  node.only({"name", "about", "release_if_absent", "traits", "releases"});
  node.at("about").text();
  Stack stack;
  stack.traits.stack = node.at("name").text();
  read_traits(node.at("traits"), stack);
  std::string effective = release;
  if (const auto fallback = node.find("release_if_absent"); release.empty() && fallback) {
    effective = stack.assumed_release = fallback->text();
  }
  if (const auto releases = node.find("releases")) {
    for (const Node& entry : releases->elements()) {
      entry.only({"from", "match", "traits"});
      const bool used = applies(entry, effective, effective.empty());
      Stack unused;  // entries of other releases are checked too
      read_traits(entry.at("traits"), used ? stack : unused);
    }
  }
  stack.traits.release = release;
  return stack;
}

}  // namespace models
