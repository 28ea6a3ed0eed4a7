#include <algorithm>
#include <string>
#include <type_traits>

#include "models/recipes/reading.h"
#include "models/recipes/torch_rules.h"
#include "models/recipes/writing.h"

namespace recipes {
namespace {

constexpr Word kDispatchers[] = {
    {"deepep", "deepep"}, {"hybridep", "hybridep"}, {"torch", "alltoall"}, {"alltoall", "alltoall"}};

constexpr Row kRows[] = {
    {"step_scheduler.global_batch_size", "/gbs"},
    {"distributed.tp_size", "/tp"},
    {"distributed.cp_size", "/cp"},
    {"distributed.pp_size", "/pp"},
    {"distributed.ep_size", "/ep"},
    {"distributed.sequence_parallel", "/sp", Kind::flag},
    {"distributed.mp_policy.param_dtype", "/overlap/fsdp/param_dtype", Kind::open_words, torch::kTypes},
    {"distributed.mp_policy.reduce_dtype", "/overlap/fsdp/reduce_dtype", Kind::open_words, torch::kTypes},
    {"distributed.defer_fsdp_grad_sync", "/overlap/fsdp/defer_grad_sync", Kind::flag},
    {"distributed.enable_fsdp2_prefetch", "/overlap/fsdp/explicit_prefetch", Kind::flag},
    {"distributed.fsdp2_forward_prefetch_depth", "/overlap/fsdp/prefetch_depth/fwd", Kind::whole},
    {"distributed.fsdp2_backward_prefetch_depth", "/overlap/fsdp/prefetch_depth/bwd", Kind::whole},
    {"distributed.enable_async_tensor_parallel", "/overlap/tp/async_tp_inductor", Kind::flag},
    {"distributed.enable_compile", "/overlap/torch_compile_per_layer", Kind::flag},
    {"compile.enabled", "/overlap/torch_compile_per_layer", Kind::flag},
    {"model.torch_dtype", "/optimizer/param_storage", Kind::open_words, torch::kTypes},
    {"model.backend.attn", "/overlap/kernels/attn", Kind::text},
    {"model.backend.linear", "/overlap/kernels/linear", Kind::text},
    {"model.backend.rms_norm", "/overlap/kernels/rms_norm", Kind::text},
    {"model.backend.rope_fusion", "/overlap/kernels/rope_fusion", Kind::flag},
    {"model.backend.compile_attn", "/overlap/kernels/compile_attn", Kind::flag},
    {"model.backend.enable_fsdp_optimizations", "/overlap/fsdp/enable_fsdp_optimizations", Kind::flag},
    {"model.backend.dispatcher_num_sms", "/moe/dispatcher_num_sms", Kind::whole},
    {"model.backend.experts", "/moe/experts_gemm", Kind::text},
    {"model.backend.fake_balanced_gate", "/moe/balanced_gate", Kind::flag},
    {"model.backend.te_fp8.recipe", "/moe/te_fp8_recipe", Kind::text},
    {"dataset.seq_len", "/seq_len"},
    {"dataset.seq_length", "/seq_len"},
    {"packed_sequence.packed_sequence_size", "/seq_len"},
    {"optimizer._target_", "/optimizer/name", Kind::text},
    {"optimizer.foreach", "/optimizer/foreach", Kind::flag},
    {"clip_grad_norm.max_norm", "/optimizer/grad_clip", Kind::number},
    {"peft.dim", "/optimizer/lora/rank"},
    {"peft.alpha", "/optimizer/lora/alpha", Kind::number},
    {"peft.use_triton", "/optimizer/lora/triton", Kind::flag},
    {"peft.moe_rank_scaling", "/optimizer/lora/moe_rank_scaling", Kind::flag},
};

// Rules. Models, machines and batches first, which the others need.

constexpr std::string_view kModelKeys[] = {"model.config.pretrained_model_name_or_path",
                                           "model.pretrained_model_name_or_path"};
constexpr std::string_view kModelFields[] = {"/model"};

void read_model(Reading& reading) {
  for (const std::string_view key : kModelKeys) torch::read_repository(reading, key);
}

void write_model(Writing& writing) {
  torch::write_repository(writing, writing.exists(kModelKeys[1]) ? kModelKeys[1] : kModelKeys[0]);
}

constexpr std::string_view kNodeKeys[] = {"benchmark.num_nodes"};
constexpr std::string_view kNodeFields[] = {"/gpus"};

/// Keys of the pipeline have been in a section of their own, then below `distributed`.
struct PipelineKeys {
  std::string_view schedule, micro, per_stage, rounding;
};
constexpr PipelineKeys kPipelines[] = {
    {"distributed.pipeline.pp_schedule", "distributed.pipeline.pp_microbatch_size",
     "distributed.pipeline.layers_per_stage", "distributed.pipeline.round_virtual_stages_to_pp_multiple"},
    {"autopipeline.pp_schedule", "autopipeline.pp_microbatch_size", "autopipeline.layers_per_stage",
     "autopipeline.round_virtual_stages_to_pp_multiple"}};

template <typename T>  // Reading or Writing
bool has_key(const T& recipe, std::string_view key) {
  if constexpr (std::is_same_v<T, Reading>) return recipe.document().find(key) != nullptr;
  else return recipe.exists(key);
}

template <typename T>
const PipelineKeys& pipeline_of(const T& recipe) {
  const PipelineKeys& old = kPipelines[1];
  const bool is_old = has_key(recipe, old.schedule) || has_key(recipe, old.micro) || has_key(recipe, old.per_stage);
  return is_old ? old : kPipelines[0];
}

constexpr std::string_view kBatchKeys[] = {"step_scheduler.local_batch_size", kPipelines[0].micro, kPipelines[1].micro};
constexpr std::string_view kBatchFields[] = {"/mbs", "/lbs", "/overlap/pp/local_batch_size"};

torch::BatchKeys batch_of(const PipelineKeys& keys) { return {kBatchKeys[0], keys.micro, kBatchFields[2]}; }

constexpr std::string_view kShardingKeys[] = {"distributed.dp_replicate_size", "distributed.moe.reshard_after_forward",
                                              "parallelizer.reshard_after_forward"};
constexpr std::string_view kShardingFields[] = {"/fsdp", "/zero", "/overlap/fsdp/reshard_after_forward"};

/// Whether parameters are sharded again after forward is ZeRO stage 3, else 2. Dense models decide it layer by layer.
void read_sharding(Reading& reading) {
  torch::read_replicas(reading, kShardingKeys[0]);
  for (const std::string_view key : {kShardingKeys[1], kShardingKeys[2]}) {
    const auto reshard = reading.flag(key, "/zero");
    if (!reshard) continue;
    reading.state("/zero", *reshard ? 3 : 2, *reading.document().find(key));
    reading.state(kShardingFields[2], *reshard, *reading.document().find(key));
  }
}

void write_sharding(Writing& writing) {
  torch::write_replicas(writing, kShardingKeys[0]);
  const auto stated = writing.flag(kShardingFields[2]);
  const auto zero = writing.count("/zero");
  const std::string_view key = kShardingKeys[writing.exists(kShardingKeys[2]) ? 2 : 1];
  if (zero && *zero >= 2) {
    writing.put(key, *zero == 3);
  } else if (stated) {
    writing.put(key, *stated);
  }
}

/// Virtual stages follow from the layers of one: all stages, rounded to a multiple of the pipeline. Releases of 2025
/// made one more; what a line `# stepcast: vp = n` says goes before.
constexpr std::string_view kStageKeys[] = {kPipelines[0].schedule, kPipelines[0].per_stage, kPipelines[0].rounding,
                                           kPipelines[1].schedule, kPipelines[1].per_stage, kPipelines[1].rounding};
constexpr std::string_view kStageFields[] = {"/vp", "/overlap/pp/layers_per_stage_yaml", "/overlap/pp/schedule",
                                             "/overlap/pp/round_virtual_stages"};

int virtual_stages(int layers, int per_stage, int pp, const std::string& rounding) {
  const int stages = (layers + per_stage - 1) / per_stage;
  const int rounded = rounding == "up" ? (stages + pp - 1) / pp : stages / pp;
  return std::max(1, rounded);
}

void read_word(Reading& reading, std::string_view key, std::string_view field) {
  if (const auto word = reading.text(key, field)) reading.state(field, *word, *reading.document().find(key));
}

void read_stages(Reading& reading) {
  const PipelineKeys& keys = pipeline_of(reading);
  if (reading.size("/pp") == 1) {
    for (const std::string_view key : {keys.schedule, keys.micro, keys.per_stage, keys.rounding})
      reading.pass_over(key, "does not change a step's time: there is no pipeline");
    return;
  }
  read_word(reading, keys.schedule, kStageFields[2]);
  read_word(reading, keys.rounding, kStageFields[3]);
  const auto per_stage = reading.count(keys.per_stage, "/vp");
  if (!per_stage) return;
  reading.state(kStageFields[1], *per_stage, *reading.document().find(keys.per_stage));
  const models::Model* model = reading.model();
  if (reading.has("/vp") || model == nullptr) return;
  reading.follow("/vp", virtual_stages(static_cast<int>(model->layers.size()), *per_stage, reading.size("/pp"),
                                       reading.word(kStageFields[3]).value_or("down")));
}

void write_stages(Writing& writing) {
  const PipelineKeys& keys = pipeline_of(writing);
  if (const auto schedule = writing.word(kStageFields[2])) writing.put(keys.schedule, *schedule);
  if (const auto rounds = writing.word(kStageFields[3])) writing.put(keys.rounding, *rounds);
  const auto stated = writing.count(kStageFields[1]);
  const auto vp = writing.count("/vp");
  const models::Model* model = writing.model();
  if (!vp || model == nullptr) {
    if (stated) writing.put(keys.per_stage, *stated);
    return;
  }
  const int layers = static_cast<int>(model->layers.size()), pp = writing.size("/pp");
  const std::string rounding = writing.word("/overlap/pp/round_virtual_stages").value_or("down");
  if (stated && virtual_stages(layers, *stated, pp, rounding) == *vp) return writing.put(keys.per_stage, *stated);
  for (int per_stage = layers; per_stage > 0; --per_stage) {
    if (virtual_stages(layers, per_stage, pp, rounding) == *vp) return writing.put(keys.per_stage, per_stage);
  }
  if (stated) writing.put(keys.per_stage, *stated);
  writing.put("@vp", *vp);
}

/// All of a layer, or with torch modules its parts one by one.
constexpr std::string_view kRecomputeKeys[] = {"distributed.activation_checkpointing",
                                               "parallelizer.activation_checkpointing"};
constexpr std::string_view kRecomputeFields[] = {"/recompute/mode", "/recompute/modules", "/recompute/layers"};

Value::List replayed(const models::Model* model, bool is_compiled) {
  if (model == nullptr || model->family() != models::Family::dense) return {"transformer_block"};
  if (is_compiled) return {"self_attn", "mlp"};
  return {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"};
}

void read_recompute(Reading& reading) {
  for (const std::string_view key : kRecomputeKeys) {
    const auto is_on = reading.flag(key, "/recompute/mode");
    if (is_on) reading.state("/recompute/mode", *is_on ? "full" : "none", *reading.document().find(key));
  }
  const auto mode = reading.word("/recompute/mode");
  if (!mode) return;
  const models::Model* model = reading.model();
  const bool is_compiled = reading.find("/overlap/torch_compile_per_layer") != nullptr &&
                           *reading.find("/overlap/torch_compile_per_layer") == Value(true);
  reading.follow("/recompute/modules", *mode == "full" ? replayed(model, is_compiled) : Value::List{});
  if (model != nullptr && *mode == "full") reading.follow("/recompute/layers", static_cast<int>(model->layers.size()));
}

void write_recompute(Writing& writing) {
  const auto mode = writing.word("/recompute/mode");
  if (!mode || *mode == "selective") return;
  for (const std::string_view key : kRecomputeKeys) {
    if (writing.exists(key)) writing.put(key, *mode == "full");
  }
  if (!writing.exists(kRecomputeKeys[0]) && !writing.exists(kRecomputeKeys[1]))
    writing.put(kRecomputeKeys[0], *mode == "full");
}

/// The dispatcher by its name, or DeepEP or none by the switch that was there before.
constexpr std::string_view kDispatcherKeys[] = {"model.backend.dispatcher", "model.backend.enable_deepep"};
constexpr std::string_view kDispatcherFields[] = {"/moe/dispatcher"};

void read_dispatcher(Reading& reading) {
  const Row row{kDispatcherKeys[0], kDispatcherFields[0], Kind::open_words, kDispatchers};
  if (const Entry* entry = reading.take(row.key, row.field)) {
    if (const auto word = to_run(row, reading.document(), *entry)) reading.state(row.field, *word, *entry);
  }
  const auto is_on = reading.flag(kDispatcherKeys[1], kDispatcherFields[0]);
  if (is_on && !reading.has(kDispatcherFields[0]))
    reading.state(kDispatcherFields[0], *is_on ? "deepep" : "alltoall", *reading.document().find(kDispatcherKeys[1]));
}

void write_dispatcher(Writing& writing) {
  const auto dispatcher = writing.word(kDispatcherFields[0]);
  if (!dispatcher) return;
  const bool is_old = writing.exists(kDispatcherKeys[1]) && !writing.exists(kDispatcherKeys[0]);
  if (is_old && (*dispatcher == "deepep" || *dispatcher == "alltoall"))
    return writing.put(kDispatcherKeys[1], *dispatcher == "deepep");
  writing.put(kDispatcherKeys[0], *to_recipe({"", "", Kind::open_words, kDispatchers}, *dispatcher));
}

constexpr std::string_view kPrecisionKeys[] = {"fp8.enabled"};
constexpr std::string_view kPrecisionFields[] = {"/precision"};

void read_precision(Reading& reading) {
  const auto is_fp8 = reading.flag(kPrecisionKeys[0], "/precision");
  const bool is_mx =
      reading.word("/moe/te_fp8_recipe") == "mxfp8" || reading.word("/moe/experts_gemm") == "torch_mm_mxfp8";
  if (is_fp8 && *is_fp8) reading.state("/precision", "fp8-cs", *reading.document().find(kPrecisionKeys[0]));
  if (is_mx) reading.follow("/precision", "mxfp8");
  reading.assume("/precision", reading.word("/optimizer/param_storage").value_or("bf16"), "the type of the parameters");
}

void write_precision(Writing& writing) {
  const auto precision = writing.word("/precision");
  if (!precision) return;
  if (*precision == "fp8-cs" || writing.exists(kPrecisionKeys[0]))
    writing.put(kPrecisionKeys[0], *precision == "fp8-cs");
  if (*precision == "mxfp8" && writing.word("/moe/experts_gemm") != "torch_mm_mxfp8")
    writing.put("model.backend.te_fp8.recipe", "mxfp8");
}

/// Which linears carry adapters.
constexpr std::string_view kLoraKeys[] = {"peft.match_all_linear", "peft.target_modules"};
constexpr std::string_view kLoraFields[] = {"/optimizer/lora/target", "/optimizer/lora/target_modules", "/task"};
constexpr std::string_view kAllLinears = "all linear (match_all_linear)";

void read_lora(Reading& reading) {
  const auto all = reading.flag(kLoraKeys[0], kLoraFields[0]);
  if (all && *all) reading.state(kLoraFields[0], kAllLinears, *reading.document().find(kLoraKeys[0]));
  if (const Entry* targets = reading.take(kLoraKeys[1], kLoraFields[0])) {
    const bool is_list = targets->value.as<Value::List>() != nullptr;
    const Row row{kLoraKeys[1], "", is_list ? Kind::texts : Kind::text};
    const auto named = to_run(row, reading.document(), *targets);
    const bool is_every = named && *named == Value("*_proj");  // as Hugging Face names its linears
    if (named) reading.state(kLoraFields[is_list ? 1 : 0], is_every ? Value("*") : *named, *targets);
  }
  if (reading.has("/optimizer/lora")) reading.follow("/task", "lora");
}

void write_lora(Writing& writing) {
  const auto target = writing.word(kLoraFields[0]);
  if (target && *target == kAllLinears) {
    writing.put(kLoraKeys[0], true);
  } else if (target) {
    writing.put(kLoraKeys[1], *target);
  } else if (const Value* modules = writing.find(kLoraFields[1])) {
    writing.put(kLoraKeys[1], *modules);
  }
  const auto task = writing.word("/task");
  if (task && (*task != "lora" || !writing.has("/optimizer/lora"))) writing.put("@task", *task);
}

/// What the framework does without being told.
constexpr std::string_view kNothing[] = {""};

void read_facts(Reading& reading) {
  reading.follow("/cuda_graph/impl", "none");
  if (reading.has("/ep")) reading.follow("/etp", 1);
  reading.follow("/overlap/fsdp/api", "torch FSDP2 fully_shard");
  if (reading.size("/cp") > 1 && reading.word("/overlap/kernels/attn") != "te")
    reading.follow("/overlap/cp/impl", "torch context_parallel (rotate=allgather)");
  if (const auto storage = reading.word("/optimizer/param_storage")) {
    const bool keeps_fp32 = reading.word("/optimizer/name").value_or("").find("FusedAdam") != std::string::npos;
    reading.follow("/optimizer/state_dtype", keeps_fp32 ? "fp32" : *storage);
  }
  const models::Model* model = reading.model();
  if (model == nullptr || model->family() != models::Family::moe || !reading.has("/moe")) return;
  reading.follow("/moe/dropless", true);
  reading.follow("/moe/async_dispatch", false);
  if (const Value* gate = reading.find("/moe/balanced_gate"))
    reading.follow("/moe/router_gemm_executed", *gate == Value(false));
  const bool has_shared = std::any_of(model->kinds.begin(), model->kinds.end(),
                                      [](const auto& kind) { return kind.moe && kind.moe->shared_ffn > 0; });
  reading.follow("/moe/shared_expert", has_shared ? "separate CUDA stream" : "none");
}

/// What a new recipe names.
void write_targets(Writing& writing) {
  if (!writing.is_new()) return;
  writing.put("distributed.strategy", "fsdp2");
  writing.put("model._target_", "nemo_automodel.NeMoAutoModelForCausalLM.from_config");
}

constexpr Rule kRules[] = {
    {kModelKeys, kModelFields, read_model, write_model},
    {kNodeKeys, kNodeFields, [](Reading& r) { torch::read_nodes(r, kNodeKeys[0]); },
     [](Writing& w) { torch::write_nodes(w, kNodeKeys[0]); }},
    {kBatchKeys, kBatchFields, [](Reading& r) { torch::read_batch(r, batch_of(pipeline_of(r))); },
     [](Writing& w) { torch::write_batch(w, batch_of(pipeline_of(w))); }},
    {kShardingKeys, kShardingFields, read_sharding, write_sharding},
    {kStageKeys, kStageFields, read_stages, write_stages},
    {kRecomputeKeys, kRecomputeFields, read_recompute, write_recompute},
    {kDispatcherKeys, kDispatcherFields, read_dispatcher, write_dispatcher},
    {kLoraKeys, kLoraFields, read_lora, write_lora},
    {kPrecisionKeys, kPrecisionFields, read_precision, write_precision},
    {kNothing, kNothing, read_facts, write_targets},
};

constexpr Harmless kHarmlessKeys[] = {
    {"seed", "random numbers"},
    {"rng.*", "random numbers"},
    {"benchmark.*", "what is measured"},
    {"dist_env.*", "start of the processes"},
    {"distributed.dp_size", "follows from the other sizes"},
    {"distributed._target_", "the usual code"},
    {"distributed.strategy", "the usual code"},
    {"parallelizer._target_", "the usual code"},
    {"autopipeline._target_", "the usual code"},
    {"autopipeline.scale_grads_in_schedule", "scale of the gradients"},
    {"autopipeline.patch_*", "the usual code"},
    {"autopipeline.pp_batch_size", "follows from the local batch"},
    {"distributed.pipeline.scale_grads_in_schedule", "scale of the gradients"},
    {"distributed.pipeline.patch_*", "the usual code"},
    {"distributed.pipeline.pp_batch_size", "follows from the local batch"},
    {"distributed.moe.wrap_outer_model", "the usual code"},
    {"parallelizer.wrap_outer_model", "the usual code"},
    {"distributed.mp_policy.output_dtype", "the usual code"},
    {"distributed.mp_policy.cast_forward_inputs", "the usual code"},
    {"distributed.mp_policy._target_", "the usual code"},
    {"recipe", "the usual code"},
    {"ci.*", "the framework's own tests"},
    {"model._target_", "the usual code"},
    {"model.config._target_", "the usual code"},
    {"model.backend._target_", "the usual code"},
    {"model.backend.enable_hf_state_dict_adapter", "checkpoints"},
    {"model.trust_remote_code", "the usual code"},
    {"model.config.trust_remote_code", "the usual code"},
    {"step_scheduler.*", "how long it trains"},
    {"checkpoint.*", "checkpoints"},
    {"loss_fn.*", "the usual code"},
    {"dataset.*", "data"},
    {"validation_*", "evaluation"},
    {"dataloader.*", "data"},
    {"packed_sequence.*", "data"},
    {"optimizer.lr", "learning rate"},
    {"optimizer.betas", "optimizer constants"},
    {"optimizer.eps", "optimizer constants"},
    {"optimizer.weight_decay", "optimizer constants"},
    {"lr_scheduler.*", "learning rate"},
    {"peft._target_", "the usual code"},
    {"wandb.*", "logging"},
};

}  // namespace

const Table kAutomodel{Format::automodel, kRows, kRules, kHarmlessKeys};

}  // namespace recipes
