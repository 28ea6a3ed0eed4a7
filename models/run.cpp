#include "models/run.h"

#include <array>
#include <string>
#include <utility>

#include "models/run_draft.h"

namespace models {
namespace {

using hw::DType;
using hw::Node;

void check_keys(const Node& node, bool with_measured) {
  node.only({"id",      "model",     "system",   "gpus",  "gpus_per_node", "framework",  "release",
             "task",    "precision", "seq_len",  "gbs",   "mbs",           "ga",         "tp",
             "pp",      "vp",        "cp",       "ep",    "etp",           "dp",         "sp",
             "fsdp",    "zero",      "schedule", "lbs",   "recompute",     "cuda_graph", "optimizer",
             "overlap", "moe",       "extra",    "train", "hardware_note", "notes",      "source",
             "trust",   "measured"});
  for (const std::string_view key : {"hardware_note", "notes", "source", "trust"}) {
    const auto value = node.find(key);
    if (value && !value->is_text()) value->fail("must be text");
  }
  const auto measured = node.find("measured");
  if (measured && !with_measured) measured->fail("belongs in a file of measured runs, which validate reads");
}

Precision read_precision(const Node& node, const Stack& stack, Run& run) {
  constexpr std::array kPrecisions = {Precision::fp64,          Precision::fp32,   Precision::bf16,
                                      Precision::fp16,          Precision::fp8_cs, Precision::fp8_ds,
                                      Precision::fp8_blockwise, Precision::mxfp8,  Precision::nvfp4};
  constexpr std::array kNames = {"fp64", "fp32", "bf16", "fp16", "fp8-cs", "fp8-ds", "fp8-blockwise", "mxfp8", "nvfp4"};
  const Node stated = node.at("precision");
  const auto index = static_cast<std::size_t>(
      stated.choice({"fp64", "fp32", "bf16", "fp16", "fp8-cs", "fp8-ds", "fp8-blockwise", "mxfp8", "nvfp4", "fp8"}));
  const Precision precision = index < kPrecisions.size() ? kPrecisions[index] : stack.fp8;
  if (index == kPrecisions.size()) {
    run.assumed.push_back("precision fp8 is " + std::string(kNames[static_cast<std::size_t>(precision)]) +
                          ", the usual one of stack " + stack.traits.stack);
  }
  const auto type = static_cast<std::size_t>(matmul_type(precision));
  // fp64 is for the executor's own checks, whatever the machine.
  if (precision != Precision::fp64 && run.cluster.gpu.peak[type].value <= 0)
    stated.fail("must be a format that " + run.cluster.gpu.name + " computes in");
  return precision;
}

void read_identity(const Node& node, bool with_measured, Run& run) {
  if (const auto id = node.find("id")) {
    run.id = id->text();
  } else if (with_measured) {
    node.at("id");
  }
  if (const auto framework = node.find("framework")) run.framework = framework->text();
  if (const auto release = node.find("release")) run.release = release->text();
  if (const auto task = node.find("task")) run.task = static_cast<Task>(task->choice({"pretrain", "sft", "lora"}));
}

void say_which_stack(const Library& library, const Stack& stack, Run& run) {
  if (run.framework.empty()) {
    run.assumed.push_back("framework not stated: the generic stack");
  } else if (!library.has_stack(run.framework)) {
    run.assumed.push_back("framework " + run.framework + " is not described: the generic stack");
  } else if (run.release.empty() && !stack.assumed_release.empty()) {
    run.assumed.push_back("release not stated: taken as " + stack.assumed_release);
  } else if (run.release.empty()) {
    run.assumed.push_back("release not stated: the newest described");
  }
}

void say_whose_curves(Run& run) {
  const hw::Cluster& own = run.cluster;
  if (!own.variant_of) return;
  const bool related = own.variant_of->gpu.architecture == own.gpu.architecture;
  run.assumed.push_back("system " + own.name +
                        (related ? " has other rates than the known one: fitted curves are scaled"
                                 : " has another architecture than the known one: no fitted curves"));
}

/// The stack's bf16 means the precision's storage type; fp32 and fp64 weights are their own master copy.
void start_numerics(Run& run) {
  Traits& traits = run.traits;
  const DType storage = storage_type(run.precision);
  if (storage == DType::bf16) return;
  for (DType* type : {&traits.param_dtype, &traits.grad_dtype, &traits.grad_reduce_dtype, &traits.param_gather_dtype}) {
    if (*type == DType::bf16) *type = storage;
  }
  if (storage == DType::fp16) return;
  traits.master_weights = false;
  for (DType* type : {&traits.param_dtype, &traits.grad_dtype, &traits.grad_reduce_dtype, &traits.param_gather_dtype,
                      &traits.moment_dtype}) {
    *type = storage;
  }
}

void say_overlap(RunDraft& draft, bool wanted_ep_overlap) {
  if (wanted_ep_overlap && !draft.run.traits.ep_overlap)
    draft.assume("expert exchanges are not overlapped: with pp > 1 that needs vp > 1");
}

void read_open_objects(RunDraft& draft) {
  if (const auto optimizer = draft.node.find("optimizer")) read_optimizer(*optimizer, draft);
  if (const auto overlap = draft.node.find("overlap")) read_overlap(*overlap, draft);
  if (const auto moe = draft.node.find("moe")) read_moe(*moe, draft);
  if (const auto extra = draft.node.find("extra")) read_extra(*extra, draft);
}

void finish_lora(RunDraft& draft) {
  Run& run = draft.run;
  if (run.task != Task::lora) return;
  if (!run.lora) run.lora.emplace();
  LoraSpec& lora = *run.lora;
  if (lora.rank == 0) {
    lora.rank = 16;
    draft.assume("LoRA rank not stated: 16");
  }
  if (lora.alpha == 0) lora.alpha = 2.0 * lora.rank;  // no cost depends on it
  if (!lora.qkv && !lora.out && !lora.mlp && !lora.experts) {
    lora.qkv = lora.out = lora.mlp = lora.experts = true;
    draft.assume("LoRA targets not stated: every linear");
  }
}

void read_measurement(const Node& node, Run& run) {
  run.measured = read_measured(node.at("measured"));
  const Layout& layout = run.layout;
  run.measured_group = run.framework + "/" + run.model.name + "/" + run.cluster.name + "/" +
                       std::to_string(layout.gpus) + "/" + std::to_string(layout.gbs) + "/" +
                       std::to_string(layout.seq_len) + "/" + run.release;
}

/// All that does not depend on the layout, but for numerics that the layout's keys may state.
RunDraft start_draft(const Node& node, Library& library, bool with_measured) {
  Run run;
  read_identity(node, with_measured, run);
  const std::string stack_name = library.has_stack(run.framework) ? run.framework : "generic";
  const Stack& stack = library.stack_at(stack_name, run.release);
  say_which_stack(library, stack, run);
  run.model = library.model(node.at("model"));
  run.cluster = library.cluster(node.at("system"));
  say_whose_curves(run);
  run.precision = read_precision(node, stack, run);
  run.traits = stack.traits;
  if (stack.wide_dispatcher && run.cluster.nvlink_domain > run.cluster.gpus_per_node)
    run.traits.dispatcher = *stack.wide_dispatcher;
  run.flops = stack.flops;
  run.layout.cp_kind = stack.cp_kind;
  start_numerics(run);
  RunDraft draft(node, stack);
  draft.run = std::move(run);
  return draft;
}

}  // namespace

void settle_overlap(const RunDraft& draft, Run& run) {
  const Layout& layout = run.layout;
  const Traits& wanted = draft.run.traits;
  const Precision precision = run.precision;
  const bool narrowest = !draft.tp_overlap_stated && precision == Precision::nvfp4;
  run.traits.tp_overlap = wanted.tp_overlap && layout.tp > 1 && layout.sp && !narrowest;
  run.traits.p2p_overlap = wanted.p2p_overlap && (draft.p2p_overlap_stated || layout.vp > 1);
  // Megatron asserts it: stages of one chunk would wait for each other's merged passes in turn.
  run.traits.ep_overlap = wanted.ep_overlap && (layout.pp == 1 || layout.schedule == Schedule::interleaved);
  const bool gathers_early = layout.dp > 1 && layout.pp > 1 && layout.vp > 1 && precision != Precision::mxfp8 &&
                             precision != Precision::nvfp4 && !wanted.muon;
  run.traits.optimizer_overlap = wanted.optimizer_overlap && (draft.optimizer_overlap_stated || gathers_early);
}

void finish_numerics(RunDraft& draft) {
  Run& run = draft.run;
  Traits& traits = run.traits;
  if (draft.stack.grads_in_reduce_dtype && draft.reduce_dtype_stated && !draft.grad_dtype_stated) {
    traits.grad_dtype = traits.grad_reduce_dtype;
  }
  const bool usual = run.precision == Precision::fp8_cs || run.precision == Precision::mxfp8;
  if (quantised(run.precision) && draft.quantised_gather.value_or(draft.stack.quantised_gather && usual)) {
    traits.param_gather_dtype = matmul_type(run.precision);
  }
  const hw::DType storage = storage_type(run.precision);
  if (storage == hw::DType::fp32 || storage == hw::DType::fp64) {
    // Nothing is kept narrower than what is computed with, and weights are their own master copy.
    traits.param_dtype = traits.grad_dtype = traits.grad_reduce_dtype = traits.param_gather_dtype = storage;
    traits.moment_dtype = storage;
    traits.master_weights = false;
  }
}

RunDraft open_draft(const Node& node, Library& library, bool with_measured) {
  check_keys(node, with_measured);
  RunDraft draft = start_draft(node, library, with_measured);
  read_open_objects(draft);
  if (const auto train = node.find("train")) draft.run.train = parse_train(*train);
  finish_lora(draft);
  read_recompute(draft);
  read_cuda_graph(draft);
  return draft;
}

Run parse_run(const Node& node, Library& library, bool with_measured) {
  RunDraft draft = open_draft(node, library, with_measured);
  read_layout(draft);
  check_layout(draft);
  place_stages(draft);
  finish_numerics(draft);
  const bool wanted_ep_overlap = draft.run.traits.ep_overlap;
  settle_overlap(draft, draft.run);
  say_overlap(draft, wanted_ep_overlap);
  if (with_measured) read_measurement(node, draft.run);
  return std::move(draft.run);
}

}  // namespace models
