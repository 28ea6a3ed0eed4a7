#include <algorithm>
#include <cctype>
#include <string>

#include "models/run_draft.h"

namespace models {
namespace {

using hw::DType;
using hw::Node;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

void read_name(const Node& value, RunDraft& draft) {
  const std::string name = lower(value.text());
  const auto says = [&name](const char* part) { return name.find(part) != std::string::npos; };
  Traits& traits = draft.run.traits;
  if (says("muon")) {
    traits.muon = true;
    // Megatron's dist_muon spreads whole layers' states over the data-parallel ranks.
    if (says("dist_muon")) draft.distributed_optimizer = true;
  } else if (says("fusedadam")) {
    traits.fused_optimizer = true;
  } else if (says("torch.optim.adam")) {
    traits.fused_optimizer = false;  // foreach: a few kernels a pass, not one
  } else if (!says("adam")) {
    draft.not_understood_value(value);
  }
}

void read_distributed(const Node& value, RunDraft& draft) {
  const bool distributed = value.boolean();
  if (!draft.run.traits.muon) draft.distributed_optimizer = distributed;
}

void set_dtype(const Node& value, DType Traits::*type, RunDraft& draft) {
  if (const auto stated = dtype_of(value.text())) {
    draft.run.traits.*type = *stated;
  } else {
    draft.not_understood_value(value);
  }
}

void read_main_params(const Node& value, RunDraft& draft) {
  const auto type = dtype_of(value.text());
  if (!type) return draft.not_understood_value(value);
  draft.run.traits.master_weights = true;
  if (*type != DType::fp32) draft.assume("master weights in " + value.text() + " are counted as fp32");
}

/// The second moment; both moments have one type here, the wider of the two.
void read_second_moment(const Node& value, RunDraft& draft) {
  const auto type = dtype_of(value.text());
  if (!type) return draft.not_understood_value(value);
  DType& kept = draft.run.traits.moment_dtype;
  kept = hw::bytes_per_element(*type) > hw::bytes_per_element(kept) ? *type : kept;
}

void read_clip(const Node& value, RunDraft& draft) { draft.run.traits.clip_gradients = value.non_negative() > 0; }

void read_quantised_gather(const Node& value, RunDraft& draft) {
  draft.quantised_gather = draft.quantised_gather.value_or(false) || value.boolean();
}

constexpr OpenKey kOptimizer[] = {
    {"name", nullptr, read_name},
    {"distributed", nullptr, read_distributed},
    {"precision_aware", nullptr, [](const Node& v, RunDraft&) { v.boolean(); }},
    {"main_params", nullptr, read_main_params},
    // Without the precision-aware optimizer these are the sharded copies; what backward accumulates into has the
    // type that gradients are reduced in.
    {"main_grads", nullptr, [](const Node& v, RunDraft&) { v.text(); }},
    {"exp_avg", nullptr, [](const Node& v, RunDraft& d) { set_dtype(v, &Traits::moment_dtype, d); }},
    {"exp_avg_sq", nullptr, read_second_moment},
    {"grad_reduce_dtype", nullptr,
     [](const Node& v, RunDraft& d) {
       d.reduce_dtype_stated = true;
       set_dtype(v, &Traits::grad_reduce_dtype, d);
     }},
    {"param_dtype", nullptr,
     [](const Node& v, RunDraft& d) {
       d.param_dtype_stated = true;
       set_dtype(v, &Traits::param_dtype, d);
     }},
    {"param_storage", nullptr,
     [](const Node& v, RunDraft& d) {
       d.param_dtype_stated = true;
       set_dtype(v, &Traits::param_dtype, d);
     }},
    {"state_dtype", nullptr, [](const Node& v, RunDraft& d) { set_dtype(v, &Traits::moment_dtype, d); }},
    {"fp8_param_gather", nullptr, read_quantised_gather},
    {"fp4_param_gather", nullptr, read_quantised_gather},
    {"grad_clip", nullptr, read_clip},
    {"foreach", nullptr, [](const Node& v, RunDraft&) { v.boolean(); }},
    {"lora", nullptr, read_lora},
    {"note", nullptr, nullptr},
};

/// Megatron's names of linears, and the two words for all of them.
void add_target(const std::string& target, const Node& where, RunDraft& draft) {
  LoraSpec& lora = *draft.run.lora;
  if (target == "linear_qkv") {
    lora.qkv = true;
  } else if (target == "linear_proj") {
    lora.out = true;
  } else if (target == "linear_fc1" || target == "linear_fc2") {
    lora.mlp = lora.experts = true;
  } else if (target == "*" || target.starts_with("all linear")) {
    lora.qkv = lora.out = lora.mlp = lora.experts = true;
  } else {
    draft.not_understood_value(where);
  }
}

constexpr OpenKey kLora[] = {
    {"dim", nullptr, [](const Node& v, RunDraft& d) { d.run.lora->rank = v.positive_int(); }},
    {"rank", nullptr, [](const Node& v, RunDraft& d) { d.run.lora->rank = v.positive_int(); }},
    {"alpha", nullptr, [](const Node& v, RunDraft& d) { d.run.lora->alpha = v.positive(); }},
    {"target", nullptr, [](const Node& v, RunDraft& d) { add_target(v.text(), v, d); }},
    {"target_modules", nullptr,
     [](const Node& v, RunDraft& d) {
       for (const Node& target : v.elements()) add_target(target.text(), target, d);
     }},
    {"triton", nullptr, [](const Node& v, RunDraft&) { v.boolean(); }},
};

}  // namespace

void read_lora(const Node& lora, RunDraft& draft) {
  if (draft.run.task != Task::lora) lora.fail("needs task \"lora\"");
  if (draft.run.lora) lora.fail("must be given once, in optimizer or in extra");
  draft.run.lora.emplace();
  read_open_object(lora, kLora, draft);
}

void read_optimizer(const Node& optimizer, RunDraft& draft) {
  if (optimizer.is_text()) return read_name(optimizer, draft);
  if (!optimizer.is_object()) optimizer.fail("must be an object or the optimizer's name");
  read_open_object(optimizer, kOptimizer, draft);
}

}  // namespace models
