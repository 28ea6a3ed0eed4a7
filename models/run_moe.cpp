#include <string>

#include "models/run_draft.h"

namespace models {
namespace {

using hw::Node;

void read_dispatcher(const Node& value, RunDraft& draft) {
  const std::string word = value.text();
  Dispatcher& dispatcher = draft.run.traits.dispatcher;
  if (word == "alltoall") {
    dispatcher = Dispatcher::all_to_all;
  } else if (word == "allgather") {
    dispatcher = Dispatcher::all_gather;
  } else if (word == "deepep") {
    dispatcher = Dispatcher::deepep;
  } else if (word == "hybridep") {
    dispatcher = Dispatcher::hybridep;
  } else {
    draft.not_understood_value(value);
  }
}

void read_balanced_gate(const Node& value, RunDraft& draft) {
  const bool is_fake = value.boolean();
  draft.run.traits.routing = is_fake ? Routing::contiguous : Routing::balanced_random;
  draft.run.traits.router_gemm = !is_fake;  // AutoModel's fake gate computes no scores
}

void read_expert_gemm(const Node& value, RunDraft& draft) {
  const std::string word = value.text();
  if (word == "te") {
    draft.run.traits.expert_gemm = ExpertGemm::grouped;
  } else if (word == "gmm") {
    draft.run.traits.expert_gemm = ExpertGemm::gmm;
  } else if (word == "torch_mm" || word == "torch_mm_mxfp8") {
    draft.run.traits.expert_gemm = ExpertGemm::torch_grouped;
  } else if (word == "loop") {
    draft.run.traits.expert_gemm = ExpertGemm::loop;
  } else {
    draft.not_understood_value(value);
  }
}

void read_shared_expert(const Node& value, RunDraft& draft) {
  const std::string word = value.text();
  if (word == "separate CUDA stream") {
    draft.run.traits.shared_expert_overlap = true;
  } else if (word == "inline" || word == "none") {
    draft.run.traits.shared_expert_overlap = false;
  } else {
    draft.not_understood_value(value);
  }
}

void read_fused_mlp(const Node& value, RunDraft& draft) {
  if (value.boolean()) draft.run.traits.expert_gemm = ExpertGemm::fused_grouped;
}

void read_grouped(const Node& value, RunDraft& draft) {
  if (!value.boolean()) {
    draft.run.traits.expert_gemm = ExpertGemm::loop;
  } else if (draft.run.traits.expert_gemm == ExpertGemm::loop) {
    draft.run.traits.expert_gemm = ExpertGemm::grouped;
  }
}

void read_paged_stash(const Node& value, RunDraft& draft) {
  if (value.boolean()) draft.run.traits.sync_per_dispatch = false;  // token counts stay on the device
}

void flag(const Node& value, RunDraft&) { value.boolean(); }
void count(const Node& value, RunDraft&) { value.non_negative_int(); }
void number(const Node& value, RunDraft&) { value.positive(); }

constexpr OpenKey kMoe[] = {
    {"dispatcher", nullptr, read_dispatcher},
    {"balanced_gate", nullptr, read_balanced_gate},
    {"force_balance", nullptr,
     [](const Node& v, RunDraft& d) {
       if (v.boolean()) d.run.traits.routing = Routing::balanced_random;
     }},
    {"router_gemm_executed", &Traits::router_gemm, nullptr},
    {"dropless", nullptr, [](const Node& v, RunDraft& d) { d.drops_tokens = !v.boolean(); }},
    {"capacity_factor", nullptr, [](const Node& v, RunDraft& d) { d.run.traits.capacity_factor = v.positive(); }},
    {"pad_to_capacity", nullptr, flag},
    {"experts_gemm", nullptr, read_expert_gemm},
    {"grouped_gemm", nullptr, read_grouped},
    {"fused_grouped_mlp_cutedsl", nullptr, read_fused_mlp},
    {"permute_fusion", &Traits::fused_permute, nullptr},
    {"paged_stash", nullptr, read_paged_stash},
    {"shared_expert", nullptr, read_shared_expert},
    // Stated in the data, without a term of their own (docs/runs.md).
    {"router_fusion", nullptr, flag},
    {"expert_rank_capacity_factor", nullptr, number},
    {"dispatcher_num_sms", nullptr, count},
    {"hybridep_sms", nullptr, count},
    {"async_dispatch", nullptr, flag},
    {"te_fp8_recipe", nullptr, nullptr},
    // These follow from the layout and the gate.
    {"ep_shard", nullptr, number},
    {"avg_ep_ranks_per_token", nullptr, number},
    {"avg_8gpu_nodes_per_token", nullptr, number},
};

}  // namespace

void read_moe(const Node& moe, RunDraft& draft) {
  read_open_object(moe, kMoe, draft);
  Traits& traits = draft.run.traits;
  if (draft.drops_tokens && traits.capacity_factor == 0) {
    traits.capacity_factor = 1;
    draft.assume("tokens are dropped (moe.dropless false) without a stated capacity factor: taken as 1");
  }
  if (draft.drops_tokens) traits.sync_per_dispatch = false;  // all sizes are known beforehand
}

}  // namespace models
