#include "models/recipes/reading.h"
#include "models/recipes/torch_rules.h"
#include "models/recipes/writing.h"

namespace recipes {
namespace {

constexpr Word kTasks[] = {{"pretrain", "pretrain"}, {"finetune", "sft"}};

constexpr Row kRows[] = {
    {"model.mode", "/task", Kind::words, kTasks},
    {"step_scheduler.global_batch_size", "/gbs"},
    {"step_scheduler.local_batch_size", "/mbs"},
    {"fsdp.tp_size", "/tp"},
    {"fsdp.cp_size", "/cp"},
    {"fsdp.pp_size", "/pp"},
    {"fsdp.activation_checkpointing", "/extra/activation_checkpointing", Kind::flag},
    {"optim.max_grad_norm", "/optimizer/grad_clip", Kind::number},
};

constexpr std::string_view kModelKeys[] = {"model.pretrained_model_name_or_path"};
constexpr std::string_view kModelFields[] = {"/model"};
constexpr std::string_view kShardingKeys[] = {"fsdp.dp_replicate_size"};
constexpr std::string_view kShardingFields[] = {"/fsdp", "/zero"};
constexpr std::string_view kNothing[] = {""};

void read_sharding(Reading& reading) {
  torch::read_replicas(reading, kShardingKeys[0]);
  reading.follow("/zero", 3);  // FSDP2 shards again after forward unless told otherwise, and this has no key for it
}

/// What dfm's training recipe does without being told.
void read_facts(Reading& reading) {
  reading.assume("/precision", "bf16", "the recipe's mixed precision");
  reading.follow("/ep", 1);  // it has neither
  reading.follow("/sp", false);
  reading.follow("/optimizer/name", "adamw");
  reading.follow("/optimizer/param_dtype", "bf16");
  reading.follow("/optimizer/grad_reduce_dtype", "fp32");
}

/// Tells the format from AutoModel's own: every recipe of it has this part.
void write_flow(Writing& writing) {
  if (writing.is_new()) writing.put("flow_matching.timestep_sampling", "uniform");
}

constexpr Rule kRules[] = {
    {kModelKeys, kModelFields, [](Reading& r) { torch::read_repository(r, kModelKeys[0]); },
     [](Writing& w) { torch::write_repository(w, kModelKeys[0]); }},
    {kShardingKeys, kShardingFields, read_sharding, [](Writing& w) { torch::write_replicas(w, kShardingKeys[0]); }},
    {kNothing, kNothing, read_facts, write_flow},
};

constexpr Harmless kHarmlessKeys[] = {
    {"seed", "random numbers"},
    {"wandb.*", "logging"},
    {"dist_env.*", "start of the processes"},
    {"step_scheduler.*", "how long it trains"},
    {"data.*", "data"},
    {"dataloader.*", "data"},
    {"optim.*", "optimizer constants"},
    {"lr_scheduler.*", "learning rate"},
    {"flow_matching.*", "which noise is drawn"},
    {"fsdp.dp_size", "follows from the other sizes"},
    {"checkpoint.*", "checkpoints"},
    {"logger.*", "logging"},
};

}  // namespace

const Table kDfmAutomodel{Format::dfm_automodel, kRows, kRules, kHarmlessKeys};

}  // namespace recipes
