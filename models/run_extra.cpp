#include <algorithm>
#include <string>
#include <vector>

#include "models/run_draft.h"

namespace models {
namespace {

using hw::Node;

void read_bf16_layers(const Node& value, RunDraft& draft) {
  const std::vector<Node> ends = value.elements();
  if (ends.size() != 2) value.fail("must be [layers at the start, layers at the end]");
  draft.run.traits.bf16_first_layers = ends[0].non_negative_int();
  draft.run.traits.bf16_last_layers = ends[1].non_negative_int();
}

void read_cp_type(const Node& value, RunDraft& draft) {
  const std::string word = value.text();
  CpKind& kind = draft.run.layout.cp_kind;
  if (word == "p2p" || word == "ring" || word.find("TE default p2p") != std::string::npos) {
    kind = CpKind::ring;
  } else if (word == "all_gather") {
    kind = CpKind::all_gather;
  } else if (word == "a2a") {
    kind = CpKind::all_to_all;
  } else {
    draft.not_understood_value(value);
  }
}

void read_fsdp_strategy(const Node& value, RunDraft& draft) {
  const std::string word = value.text();
  if (word == "optim_grads_params") return state_zero(value, Zero::parameters, draft);
  if (word == "optim_grads") return state_zero(value, Zero::gradients, draft);
  draft.not_understood_value(value);
}

void set_dtype(const Node& value, hw::DType Traits::*type, RunDraft& draft) {
  if (const auto stated = dtype_of(value.text())) {
    draft.run.traits.*type = *stated;
  } else {
    draft.not_understood_value(value);
  }
}

constexpr OpenKey kMegatronFsdp[] = {
    {"strategy", nullptr, read_fsdp_strategy},
    {"main_grads_dtype", nullptr,
     [](const Node& v, RunDraft& d) {
       d.grad_dtype_stated = true;
       set_dtype(v, &Traits::grad_dtype, d);
     }},
    {"grad_comm_dtype", nullptr,
     [](const Node& v, RunDraft& d) {
       d.reduce_dtype_stated = true;
       set_dtype(v, &Traits::grad_reduce_dtype, d);
     }},
    {"instances", nullptr, [](const Node& v, RunDraft&) { v.positive_int(); }},  // dp*cp / fsdp
    {"outer_dp", nullptr, [](const Node& v, RunDraft&) { v.text(); }},
    {"double_buffer", nullptr, [](const Node& v, RunDraft&) { v.boolean(); }},
};

void read_offloaded(const Node& value, RunDraft& draft) {
  for (const Node& module : value.elements()) draft.run.traits.offload_modules.push_back(module.text());
}

void read_text_tokens(const Node& value, RunDraft& draft) {
  if (!draft.run.model.dit) value.fail("needs a diffusion model with text cross-attention");
  draft.run.model.dit->text_len = value.positive_int();
}

void read_activation_checkpointing(const Node& value, RunDraft& draft) {
  if (value.is_boolean()) {
    draft.replays_block_by_default = value.boolean();
  } else if (value.text().starts_with("default True")) {
    draft.replays_block_by_default = true;
  } else {
    draft.not_understood_value(value);
  }
}

void read_packs(const Node& value, RunDraft& draft) {
  // What the TFLOP/s that Megatron-Bridge prints for Llama-3-70B on packed SQuAD leave for attention.
  constexpr int kSquadTokens = 80;
  draft.run.packed_tokens = value.positive_int();
  draft.run.packed_length = std::min(value.positive_int(), kSquadTokens);
  draft.assume("packs of " + std::to_string(value.positive_int()) + " tokens are full, of sequences of " +
               std::to_string(draft.run.packed_length) + " tokens");
}

constexpr OpenKey kExtra[] = {
    {"pp_layout", nullptr, [](const Node& v, RunDraft& d) { d.stage_layout = v.text(); }},
    {"account_for_embedding_in_pipeline_split", nullptr,
     [](const Node& v, RunDraft& d) { d.count_embedding = v.boolean(); }},
    {"account_for_loss_in_pipeline_split", nullptr, [](const Node& v, RunDraft& d) { d.count_loss = v.boolean(); }},
    {"bf16_layers_start_end", nullptr, read_bf16_layers},
    {"cp_comm_type", nullptr, read_cp_type},
    {"cpu_offloading_num_layers", nullptr,
     [](const Node& v, RunDraft& d) { d.run.traits.offload_layers = v.non_negative_int(); }},
    {"fine_grained_offload_modules", nullptr, read_offloaded},
    {"fp8_dot_product_attention", &Traits::fp8_attention, nullptr},
    {"fp8_output_proj", &Traits::fp8_output_proj, nullptr},
    {"fsdp", nullptr, [](const Node& v, RunDraft& d) { read_open_object(v, kMegatronFsdp, d); }},
    {"lora", nullptr, read_lora},
    {"packed_sequence_size", nullptr, read_packs},
    {"text_tokens", nullptr, read_text_tokens},
    {"activation_checkpointing", nullptr, read_activation_checkpointing},
    // What these state follows from the model, the sequence length or the precision.
    {"mock_latents", nullptr, nullptr},
    {"qkv_format", nullptr, nullptr},
    {"mtp_num_layers_recipe", nullptr, [](const Node& v, RunDraft&) { v.non_negative_int(); }},
    {"te_precision_overrides", nullptr, nullptr},
};

}  // namespace

void read_extra(const Node& extra, RunDraft& draft) { read_open_object(extra, kExtra, draft); }

}  // namespace models
