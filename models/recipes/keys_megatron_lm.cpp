#include <cctype>
#include <string>

#include "models/recipes/megatron_rules.h"
#include "models/recipes/reading.h"
#include "models/recipes/writing.h"

namespace recipes {
namespace {

constexpr Word kRecompute[] = {{"selective", "selective"}, {"full", "full"}};
constexpr Word kTypes[] = {{"fp32", "fp32"}, {"bf16", "bf16"}, {"fp16", "fp16"}, {"fp8", "fp8"}};
constexpr Word kGraphs[] = {{"none", "none"},
                            {"full_iteration", "full_iteration"},
                            {"transformer_engine", "transformer_engine"},
                            {"local", "local"}};
constexpr Word kAttention[] = {{"fused", "fused"}, {"flash", "flash3"}, {"unfused", "unfused"}};

constexpr Row kRows[] = {
    {"--tensor-model-parallel-size", "/tp"},
    {"--pipeline-model-parallel-size", "/pp"},
    {"--context-parallel-size", "/cp"},
    {"--expert-model-parallel-size", "/ep"},
    {"--expert-tensor-parallel-size", "/etp"},
    {"--sequence-parallel", "/sp", Kind::present},
    {"--pipeline-model-parallel-layout", "/extra/pp_layout", Kind::text},
    {"--account-for-embedding-in-pipeline-split", "/extra/account_for_embedding_in_pipeline_split", Kind::present},
    {"--account-for-loss-in-pipeline-split", "/extra/account_for_loss_in_pipeline_split", Kind::present},
    {"--seq-length", "/seq_len"},
    {"--micro-batch-size", "/mbs"},
    {"--global-batch-size", "/gbs"},
    {"--recompute-granularity", "/recompute/mode", Kind::words, kRecompute},
    {"--recompute-modules", "/recompute/modules", Kind::texts},
    {"--recompute-method", "/recompute/method", Kind::words, megatron::kRecomputeMethods},
    {"--recompute-num-layers", "/recompute/layers", Kind::whole},
    {"--cuda-graph-impl", "/cuda_graph/impl", Kind::words, kGraphs},
    {"--cuda-graph-scope", "/cuda_graph/scope", Kind::texts},
    {"--cp-comm-type", "/extra/cp_comm_type", Kind::text},
    {"--cpu-offloading-num-layers", "/extra/cpu_offloading_num_layers", Kind::whole},
    {"--fp8-dot-product-attention", "/extra/fp8_dot_product_attention", Kind::present},
    {"--attention-backend", "/overlap/kernels/attn", Kind::open_words, kAttention},
    {"--enable-optimizer-post-validation", "/overlap/post_validation_optimizer", Kind::present},
    {"--overlap-grad-reduce", "/overlap/dp_grad_reduce", Kind::present},
    {"--overlap-param-gather", "/overlap/dp_param_gather", Kind::present},
    {"--overlap-param-gather-with-optimizer-step", "/overlap/param_gather_with_optimizer_step", Kind::present},
    {"--tp-comm-overlap", "/overlap/tp_comm_overlap", Kind::present},
    {"--no-overlap-p2p-communication", "/overlap/pp_p2p", Kind::absent},
    {"--overlap-moe-expert-parallel-comm", "/overlap/ep_a2a", Kind::present},
    {"--delay-wgrad-compute", "/overlap/delay_wgrad", Kind::present},
    {"--moe-shared-expert-overlap", "/overlap/shared_expert_overlap", Kind::present},
    {"--moe-router-force-load-balancing", "/moe/force_balance", Kind::present},
    {"--moe-router-fusion", "/moe/router_fusion", Kind::present},
    {"--moe-permute-fusion", "/moe/permute_fusion", Kind::present},
    {"--moe-grouped-gemm", "/moe/grouped_gemm", Kind::present},
    {"--moe-expert-capacity-factor", "/moe/capacity_factor", Kind::number},
    {"--moe-pad-expert-input-to-capacity", "/moe/pad_to_capacity", Kind::present},
    {"--optimizer", "/optimizer/name", Kind::text},
    {"--use-precision-aware-optimizer", "/optimizer/precision_aware", Kind::present},
    {"--main-params-dtype", "/optimizer/main_params", Kind::open_words, kTypes},
    {"--main-grads-dtype", "/optimizer/main_grads", Kind::open_words, kTypes},
    {"--exp-avg-dtype", "/optimizer/exp_avg", Kind::open_words, kTypes},
    {"--exp-avg-sq-dtype", "/optimizer/exp_avg_sq", Kind::open_words, kTypes},
    {"--fp8-param-gather", "/optimizer/fp8_param_gather", Kind::present},
    {"--clip-grad", "/optimizer/grad_clip", Kind::number},
};

// Rules

/// `ZB-2p*` and `zb-2p`: lower case, without dashes.
std::string plain_schedule(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    if (c != '-' && c != '_') plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return plain;
}

constexpr megatron::DispatcherKeys kDispatcher{"--moe-token-dispatcher-type", "--moe-flex-dispatcher-backend"};
constexpr megatron::ShardingKeys kSharding{"--use-distributed-optimizer", "--use-megatron-fsdp",
                                           "--data-parallel-sharding-strategy", "--num-distributed-optimizer-instances",
                                           true};

constexpr std::string_view kDispatcherKeys[] = {kDispatcher.type, kDispatcher.backend};
constexpr std::string_view kDispatcherFields[] = {"/moe/dispatcher"};
constexpr std::string_view kShardingKeys[] = {kSharding.distributed_optimizer, kSharding.fsdp, kSharding.strategy,
                                              kSharding.instances};
constexpr std::string_view kShardingFields[] = {"/fsdp", "/zero", "/extra/fsdp/strategy", "/extra/fsdp/instances"};

/// Processes on a node times nodes, as the launcher is told.
constexpr std::string_view kLaunchKeys[] = {"--nproc-per-node", "--nnodes"};
constexpr std::string_view kLaunchFields[] = {"/gpus", "/gpus_per_node"};

void read_launch(Reading& reading) {
  const auto per_node = reading.count(kLaunchKeys[0], "/gpus_per_node");
  const auto nodes = reading.count(kLaunchKeys[1], "/gpus");
  if (!per_node) return;
  reading.state("/gpus_per_node", *per_node, *reading.document().find(kLaunchKeys[0]));
  const Entry* from = reading.document().find(kLaunchKeys[nodes ? 1 : 0]);
  const std::int64_t gpus = std::int64_t{*per_node} * nodes.value_or(1);
  if (gpus > 1 << 30) reading.document().refuse(*from, "must give at most 2^30 GPUs");
  reading.state("/gpus", gpus, *from);
}

void write_launch(Writing& writing) {
  const auto gpus = writing.count("/gpus");
  if (!gpus || *gpus == 0) return;
  const int per_node = writing.gpus_per_node();
  const int used = per_node > 0 && *gpus % per_node == 0 ? per_node : *gpus;
  if (writing.is_new() || writing.exists(kLaunchKeys[0])) {
    writing.put(kLaunchKeys[0], used);
    writing.put(kLaunchKeys[1], *gpus / used);
  } else {
    writing.put("@gpus", *gpus);
  }
}

/// `--bf16`, `--fp16`, and `--fp8-format` with a recipe of scaling on top.
constexpr std::string_view kPrecisionKeys[] = {"--bf16", "--fp16", "--fp8-format", "--fp8-recipe", "--fp4-format"};
constexpr std::string_view kPrecisionFields[] = {"/precision"};
constexpr Word kScalings[] = {
    {"tensorwise", "fp8-cs"}, {"delayed", "fp8-ds"}, {"blockwise", "fp8-blockwise"}, {"mxfp8", "mxfp8"}};

void read_precision(Reading& reading) {
  const Document& document = reading.document();
  const Entry *bf16 = reading.take("--bf16", "/precision"), *fp16 = reading.take("--fp16", "/precision"),
              *fp8 = reading.take("--fp8-format", "/precision"), *scaling = reading.take("--fp8-recipe", "/precision"),
              *fp4 = reading.take("--fp4-format", "/precision");
  if (bf16 != nullptr && fp16 != nullptr) document.fail(fp16->line, "--fp16: must not be given beside --bf16");
  for (const Entry* entry : {bf16, fp16}) {
    if (entry != nullptr) to_run({entry->key, "/precision", Kind::present}, document, *entry);
  }
  if (fp4 != nullptr) {
    reading.state("/precision", "nvfp4", *fp4);
  } else if (fp8 != nullptr && scaling != nullptr) {
    reading.state("/precision", *to_run({"", "", Kind::words, kScalings}, document, *scaling), *scaling);
  } else if (fp8 != nullptr) {
    reading.state("/precision", "fp8-ds", *fp8);
  } else if (bf16 != nullptr || fp16 != nullptr) {
    reading.state("/precision", bf16 != nullptr ? "bf16" : "fp16", bf16 != nullptr ? *bf16 : *fp16);
  } else {
    reading.assume("/precision", "fp32", "the framework's without --bf16 or --fp16");
  }
}

void write_precision(Writing& writing) {
  const auto precision = writing.word("/precision");
  if (!precision || *precision == "fp32") return;
  writing.put(*precision == "fp16" ? "--fp16" : "--bf16", true);
  if (*precision == "nvfp4") writing.put("--fp4-format", "e2m1");
  for (const Word& scaling : kScalings) {
    if (scaling.run != *precision) continue;
    writing.put("--fp8-format", "hybrid");
    writing.put("--fp8-recipe", scaling.recipe);
  }
}

/// Virtual stages are stated by number, or by their layers.
constexpr std::string_view kVirtualKeys[] = {"--num-virtual-stages-per-pipeline-rank",
                                             "--num-layers-per-virtual-pipeline-stage"};
constexpr std::string_view kVirtualFields[] = {"/vp"};

void read_virtual(Reading& reading) {
  if (const auto stages = reading.count(kVirtualKeys[0], "/vp"))
    reading.state("/vp", *stages, *reading.document().find(kVirtualKeys[0]));
  const auto layers_each = reading.count(kVirtualKeys[1], "/vp");
  if (!layers_each) return;
  const Entry& entry = *reading.document().find(kVirtualKeys[1]);
  const models::Model* model = reading.model();
  if (model == nullptr) return reading.assume("/vp", 1, "its layers are stated, but not the model's");
  const auto layers = static_cast<std::int64_t>(model->layers.size());
  const std::int64_t stage_layers = std::int64_t{*layers_each} * reading.size("/pp");
  if (layers % stage_layers != 0)
    reading.document().refuse(
        entry, "must, times the pipeline size, divide the model's " + std::to_string(layers) + " layers");
  reading.state("/vp", layers / stage_layers, entry);
}

void write_virtual(Writing& writing) {
  const auto vp = writing.count("/vp");
  const bool is_v =
      plain_schedule(writing.word("/schedule").value_or(writing.word("/overlap/schedule").value_or(""))) ==
      "zbv";  // always has two
  if (!vp || is_v) return;
  const models::Model* model = writing.exists(kVirtualKeys[1]) ? writing.model() : nullptr;
  const int layers = model == nullptr ? 0 : static_cast<int>(model->layers.size());
  const std::int64_t stages = std::int64_t{*vp} * writing.size("/pp");
  if (layers > 0 && layers % stages == 0) return writing.put(kVirtualKeys[1], layers / stages);
  writing.put(kVirtualKeys[0], *vp == 1 ? Value() : Value(*vp));
}

/// Gradients are accumulated, and reduced, in fp32 unless a flag says otherwise.
constexpr std::string_view kGradKeys[] = {"--grad-reduce-in-bf16", "--accumulate-allreduce-grads-in-fp32"};
constexpr std::string_view kGradFields[] = {"/optimizer/grad_reduce_dtype"};

void read_gradients(Reading& reading) {
  if (const Entry* entry = reading.take(kGradKeys[0], kGradFields[0])) reading.state(kGradFields[0], "bf16", *entry);
  if (const Entry* entry = reading.take(kGradKeys[1], kGradFields[0])) reading.state(kGradFields[0], "fp32", *entry);
}

void write_gradients(Writing& writing) {
  const auto type = writing.word(kGradFields[0]);
  if (type) writing.put(*type == "bf16" ? kGradKeys[0] : kGradKeys[1], true);
}

/// Selective recompute by its old name.
constexpr std::string_view kRecomputeKeys[] = {"--recompute-activations"};
constexpr std::string_view kRecomputeFields[] = {"/recompute/mode"};

void read_recompute_switch(Reading& reading) {
  const Entry* entry = reading.take(kRecomputeKeys[0], kRecomputeFields[0]);
  if (entry != nullptr) reading.state(kRecomputeFields[0], "selective", *entry);
  megatron::read_missing_granularity(reading);
  megatron::check_model_sizes(reading, {"--num-layers", "--hidden-size"});
}

void write_recompute_switch(Writing&) {}

/// Zero-bubble schedules of the fork that has them: how many backward passes may wait tells the two apart.
constexpr std::string_view kScheduleKeys[] = {"--enable-zero-bubble", "--zero-bubble-v-schedule",
                                              "--zero-bubble-max-pending-backward"};
constexpr std::string_view kScheduleFields[] = {"/schedule", "/overlap/schedule"};

void read_schedule(Reading& reading) {
  const Entry *bubble = reading.take(kScheduleKeys[0], "/schedule"), *v = reading.take(kScheduleKeys[1], "/schedule");
  const auto pending = reading.count(kScheduleKeys[2], "/schedule");
  if (v != nullptr) {
    reading.state("/schedule", "zb-v", *v);
    reading.follow("/vp", 2);
  } else if (bubble != nullptr) {
    reading.state("/schedule", pending.value_or(0) > reading.size("/pp") ? "zb-2p" : "zb-1p", *bubble);
  }
}

void write_schedule(Writing& writing) {
  const auto stated = writing.has("/schedule") ? writing.word("/schedule") : writing.word("/overlap/schedule");
  if (!stated) return;
  const std::string word = plain_schedule(*stated);
  if (word == "zbv") writing.put(kScheduleKeys[1], true);
  if (word != "zb1p" && !word.starts_with("zb2p")) return;
  writing.put(kScheduleKeys[0], true);
  if (word.starts_with("zb2p")) writing.put(kScheduleKeys[2], 2 * writing.size("/pp"));
}

constexpr Rule kRules[] = {
    {kScheduleKeys, kScheduleFields, read_schedule, write_schedule},
    {kLaunchKeys, kLaunchFields, read_launch, write_launch},
    {kPrecisionKeys, kPrecisionFields, read_precision, write_precision},
    {kVirtualKeys, kVirtualFields, read_virtual, write_virtual},
    {kDispatcherKeys, kDispatcherFields, [](Reading& r) { megatron::read_dispatcher(r, kDispatcher); },
     [](Writing& w) { megatron::write_dispatcher(w, kDispatcher); }},
    {kShardingKeys, kShardingFields, [](Reading& r) { megatron::read_sharding(r, kSharding); },
     [](Writing& w) { megatron::write_sharding(w, kSharding); }},
    {kGradKeys, kGradFields, read_gradients, write_gradients},
    {kRecomputeKeys, kRecomputeFields, read_recompute_switch, write_recompute_switch},
};

constexpr Harmless kHarmlessKeys[] = {
    {"--num-layers", kOfModel},
    {"--hidden-size", kOfModel},
    {"--train-iters", "how long it trains"},
    {"--train-samples", "how long it trains"},
    {"--exit-*", "how long it trains"},
    {"--lr*", "learning rate"},
    {"--min-lr", "learning rate"},
    {"--weight-decay*", "optimizer constants"},
    {"--adam-*", "optimizer constants"},
    {"--init-method-std", "initial weights"},
    {"--seed", "random numbers"},
    {"--eval-*", "evaluation"},
    {"--log-*", "logging"},
    {"--tensorboard-*", "logging"},
    {"--wandb-*", "logging"},
    {"--timing-log-*", "logging"},
    {"--save*", "checkpoints"},
    {"--load", "checkpoints"},
    {"--no-load-*", "checkpoints"},
    {"--no-save-*", "checkpoints"},
    {"--ckpt-*", "checkpoints"},
    {"--data-path", "data"},
    {"--data-cache-path", "data"},
    {"--mock-data", "data"},
    {"--split", "data"},
    {"--tokenizer-*", "data"},
    {"--vocab-file", "data"},
    {"--merge-file", "data"},
    {"--num-workers", "data"},
    {"--distributed-backend", "start of the processes"},
    {"--distributed-timeout-minutes", "start of the processes"},
    {"--master-*", "start of the processes"},
    {"--node-rank", "start of the processes"},
    {"--rdzv-*", "start of the processes"},
    {"--use-mcore-models", "the usual code"},
    {"--transformer-impl", "the usual code"},
    {"--ffn-hidden-size", kOfModel},
    {"--num-attention-heads", kOfModel},
    {"--group-query-attention", kOfModel},
    {"--num-query-groups", kOfModel},
    {"--kv-channels", kOfModel},
    {"--max-position-embeddings", kOfModel},
    {"--position-embedding-type", kOfModel},
    {"--use-rotary-position-embeddings", kOfModel},
    {"--rotary-*", kOfModel},
    {"--normalization", kOfModel},
    {"--norm-epsilon", kOfModel},
    {"--swiglu", kOfModel},
    {"--disable-bias-linear", kOfModel},
    {"--add-qkv-bias", kOfModel},
    {"--qk-layernorm", kOfModel},
    {"--untie-embeddings-and-output-weights", kOfModel},
    {"--vocab-size", kOfModel},
    {"--make-vocab-size-divisible-by", kOfModel},
    {"--num-experts", kOfModel},
    {"--moe-router-topk", kOfModel},
    {"--moe-ffn-hidden-size", kOfModel},
    {"--moe-layer-freq", kOfModel},
    {"--moe-shared-expert-intermediate-size", kOfModel},
    {"--moe-router-load-balancing-type", "the router's loss"},
    {"--moe-aux-loss-coeff", "the router's loss"},
    {"--multi-latent-attention", kOfModel},
    {"--q-lora-rank", kOfModel},
    {"--kv-lora-rank", kOfModel},
    {"--qk-*", kOfModel},
    {"--v-head-dim", kOfModel},
};

}  // namespace

const Table kMegatronLm{Format::megatron_lm, kRows, kRules, kHarmlessKeys};

}  // namespace recipes
