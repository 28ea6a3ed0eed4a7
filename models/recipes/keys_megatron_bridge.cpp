#include "models/recipes/bridge_keys.h"
#include "models/recipes/model_names.h"
#include "models/recipes/reading.h"
#include "models/recipes/writing.h"

namespace recipes {
namespace {

constexpr std::string_view kDispatcherKeys[] = {bridge::kDispatcher.type, bridge::kDispatcher.backend};
constexpr std::string_view kDispatcherFields[] = {"/moe/dispatcher"};
/// A capacity means that tokens are dropped; none, that they are not.
constexpr std::string_view kCapacityKeys[] = {"model.moe_expert_capacity_factor"};
constexpr std::string_view kCapacityFields[] = {"/moe/dropless", "/moe/capacity_factor"};

void read_capacity(Reading& reading) {
  const Entry* capacity = reading.take(kCapacityKeys[0], "/moe/capacity_factor");
  if (capacity == nullptr) return;
  const auto factor = to_run({kCapacityKeys[0], "", Kind::number}, reading.document(), *capacity);
  reading.state("/moe/dropless", !factor.has_value(), *capacity);
  if (factor) reading.state("/moe/capacity_factor", *factor, *capacity);
}

void write_capacity(Writing& writing) {
  const Value* factor = writing.find("/moe/capacity_factor");
  if (const auto dropless = writing.flag("/moe/dropless"))
    writing.put(kCapacityKeys[0], *dropless ? Value() : factor != nullptr ? *factor : Value(1.0));
}

/// Counts of layers at both ends that stay in bf16.
constexpr std::string_view kEndKeys[] = {"model.num_layers_at_start_in_bf16", "model.num_layers_at_end_in_bf16",
                                         "model.first_last_layers_bf16"};
constexpr std::string_view kEndFields[] = {"/extra/bf16_layers_start_end"};

void read_bf16_ends(Reading& reading) {
  const bool is_on = reading.flag(kEndKeys[2], kEndFields[0]).value_or(true);
  const Entry* entries[] = {reading.take(kEndKeys[0], kEndFields[0]), reading.take(kEndKeys[1], kEndFields[0])};
  Value::List ends;
  for (const Entry* entry : entries) {
    const auto layers =
        entry == nullptr ? std::nullopt : to_run({entry->key, "", Kind::whole}, reading.document(), *entry);
    ends.push_back(layers.value_or(0));
  }
  const Entry* from = entries[0] != nullptr ? entries[0] : entries[1];
  if (is_on && from != nullptr) reading.state(kEndFields[0], ends, *from);
}

void write_bf16_ends(Writing& writing) {
  const Value* ends = writing.find(kEndFields[0]);
  const auto* list = ends == nullptr ? nullptr : ends->as<Value::List>();
  if (list == nullptr || list->size() != 2) return;
  writing.put(kEndKeys[2], true);
  writing.put(kEndKeys[0], (*list)[0]);
  writing.put(kEndKeys[1], (*list)[1]);
}

/// `enable_cuda_graph` captures each layer, as the recipes of 2025 did it.
constexpr std::string_view kGraphKeys[] = {"model.enable_cuda_graph"};
constexpr std::string_view kGraphFields[] = {"/cuda_graph/impl", "/cuda_graph/scope"};

void read_layer_graphs(Reading& reading) {
  const auto is_on = reading.flag(kGraphKeys[0], kGraphFields[0]);
  const Entry* entry = reading.document().find(kGraphKeys[0]);
  if (!is_on || reading.has(kGraphFields[0])) return;
  reading.state(kGraphFields[0], *is_on ? "local" : "none", *entry);
}

void write_layer_graphs(Writing& writing) {
  if (!writing.exists(kGraphKeys[0]) || writing.exists("model.cuda_graph_impl")) return;
  if (const auto implementation = writing.word(kGraphFields[0])) writing.put(kGraphKeys[0], *implementation != "none");
}

/// Adapters make it LoRA.
constexpr std::string_view kTaskKeys[] = {"peft.dim"};
constexpr std::string_view kNoFields[] = {""};

void read_task(Reading& reading) {
  if (reading.document().find(kTaskKeys[0]) != nullptr) reading.follow("/task", "lora");
}
void write_nothing(Writing&) {}

/// The recipe's function names model and task: `llama3_70b_sft_config()`.
void read_function(Reading& reading) {
  const auto named = bridge_recipe_of(reading.document().text);
  if (!named) return;
  reading.assume("/model", named->model, "as the recipe's function is named");
  reading.assume("/task", named->task, "as the recipe's function is named");
}

void read_defaults(Reading& reading) {
  megatron::read_missing_granularity(reading);
  megatron::check_model_sizes(reading, {"model.num_layers", "model.hidden_size"});
  reading.assume("/precision", "bf16", "the framework's mixed_precision where a recipe does not state it");
}

/// Flags of the framework's performance scripts (scripts/performance). They are kept where a command line has them, and
/// never written anew.
constexpr Word kComputeTypes[] = {{"bf16", "bf16"},     {"fp8_cs", "fp8-cs"},
                                  {"fp8_ds", "fp8-ds"}, {"fp8_sc", "fp8-blockwise"},
                                  {"fp8_mx", "mxfp8"},  {"nvfp4", "nvfp4"}};
constexpr Row kScriptRows[] = {
    {"--num-gpus", "/gpus"},
    {"--gpu", "/system", Kind::text},
    {"--compute-dtype", "/precision", Kind::words, kComputeTypes},
    {"--tensor-model-parallel-size", "/tp"},
    {"--pipeline-model-parallel-size", "/pp"},
    {"--virtual-pipeline-model-parallel-size", "/vp"},
    {"--context-parallel-size", "/cp"},
    {"--expert-model-parallel-size", "/ep"},
    {"--expert-tensor-parallel-size", "/etp"},
    {"--global-batch-size", "/gbs"},
    {"--micro-batch-size", "/mbs"},
};
constexpr std::string_view kScriptKeys[] = {kScriptRows[0].key, kScriptRows[1].key, kScriptRows[2].key,
                                            kScriptRows[3].key, kScriptRows[4].key, kScriptRows[5].key,
                                            kScriptRows[6].key, kScriptRows[7].key, kScriptRows[8].key,
                                            kScriptRows[9].key, kScriptRows[10].key};

void read_script(Reading& reading) {
  for (const Row& row : kScriptRows) {
    const Entry* entry = reading.take(row.key, row.field);
    if (entry == nullptr) continue;
    if (auto value = to_run(row, reading.document(), *entry)) reading.state(row.field, *std::move(value), *entry);
  }
}

void write_script(Writing& writing) {
  for (const Row& row : kScriptRows) {
    const Value* value = writing.find(row.field);
    if (value == nullptr || !writing.exists(row.key)) continue;
    if (auto word = to_recipe(row, *value)) writing.put(row.key, *std::move(word));
  }
}

constexpr Rule kRules[] = {
    {kScriptKeys, kNoFields, read_script, write_script},
    {kDispatcherKeys, kDispatcherFields, [](Reading& r) { megatron::read_dispatcher(r, bridge::kDispatcher); },
     [](Writing& w) { megatron::write_dispatcher(w, bridge::kDispatcher); }},
    {bridge::kShardingKeys, bridge::kShardingFields, bridge::read_sharding, bridge::write_sharding},
    {kCapacityKeys, kCapacityFields, read_capacity, write_capacity},
    {kEndKeys, kEndFields, read_bf16_ends, write_bf16_ends},
    {kGraphKeys, kGraphFields, read_layer_graphs, write_layer_graphs},
    {kTaskKeys, kNoFields, read_task, write_nothing},
    {kNoFields, kNoFields, read_function, write_nothing},
    {kNoFields, kNoFields, read_defaults, write_nothing},
};

constexpr Harmless kHarmlessKeys[] = {
    {"model.num_layers", kOfModel},
    {"model.hidden_size", kOfModel},
    {"train.train_iters", "how long it trains"},
    {"train.eval_*", "evaluation"},
    {"train.exit_*", "how long it trains"},
    {"validation.*", "evaluation"},
    {"scheduler.*", "learning rate"},
    {"optimizer.lr", "learning rate"},
    {"optimizer.min_lr", "learning rate"},
    {"optimizer.weight_decay", "optimizer constants"},
    {"optimizer.adam_*", "optimizer constants"},
    {"checkpoint.*", "checkpoints"},
    {"logger.*", "logging"},
    {"profiling.*", "profiling"},
    {"tokenizer.*", "data"},
    {"dataset.path_to_cache", "data"},
    {"dataset.data_path", "data"},
    {"dataset.blend*", "data"},
    {"dataset.split", "data"},
    {"dataset.random_seed", "data"},
    {"dataset.seed", "data"},
    {"rng.*", "random numbers"},
    {"dist.*", "start of the processes"},
    {"model.vocab_size", kOfModel},
    {"model.make_vocab_size_divisible_by", kOfModel},
    {"model.init_method_std", "initial weights"},
};

}  // namespace

const Table kMegatronBridge{Format::megatron_bridge, bridge::kRows, kRules, kHarmlessKeys};

}  // namespace recipes
