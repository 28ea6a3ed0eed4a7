#include <algorithm>
#include <array>
#include <string>

#include "models/recipes/reading.h"
#include "models/recipes/torch_rules.h"
#include "models/recipes/writing.h"

namespace recipes {
namespace {

constexpr Word kModes[] = {{"none", "none"}, {"selective", "selective"}, {"full", "full"}};
constexpr Word kRotations[] = {{"allgather", "all_gather"}, {"alltoall", "ring"}};

constexpr Row kRows[] = {
    {"training.seq_len", "/seq_len"},
    {"parallelism.tensor_parallel_degree", "/tp"},
    {"parallelism.enable_async_tensor_parallel", "/overlap/tp/async_tp_inductor", Kind::flag},
    {"parallelism.pipeline_parallel_degree", "/pp"},
    {"parallelism.context_parallel_degree", "/cp"},
    {"parallelism.context_parallel_rotate_method", "/overlap/cp/impl", Kind::words, kRotations},
    {"parallelism.expert_parallel_degree", "/ep"},
    {"parallelism.expert_tensor_parallel_degree", "/etp"},
    {"activation_checkpoint.mode", "/recompute/mode", Kind::words, kModes},
    {"compile.enable", "/overlap/torch_compile_per_layer", Kind::flag},
    {"training.compile", "/overlap/torch_compile_per_layer", Kind::flag},
    {"training.dtype", "/optimizer/param_storage", Kind::open_words, torch::kTypes},
    {"training.mixed_precision_param", "/overlap/fsdp/param_dtype", Kind::open_words, torch::kTypes},
    {"training.mixed_precision_reduce", "/overlap/fsdp/reduce_dtype", Kind::open_words, torch::kTypes},
    {"training.max_norm", "/optimizer/grad_clip", Kind::number},
    {"optimizer.name", "/optimizer/name", Kind::text},
};

// Rules

struct Flavor {
  std::string_view family, flavor, model;
};
constexpr Flavor kFlavors[] = {
    {"llama3", "8B", "llama3-8b"},         {"llama3", "70B", "llama3-70b"},
    {"llama3", "405B", "llama3.1-405b"},   {"deepseek_v3", "671B", "deepseek-v3-nomtp"},
    {"qwen3", "8B", "qwen3-8b"},           {"qwen3", "32B", "qwen3-32b"},
    {"qwen3", "30B-A3B", "qwen3-30b-a3b"}, {"qwen3", "235B-A22B", "qwen3-235b-a22b"},
    {"gpt_oss", "20b", "gpt-oss-20b"},     {"gpt_oss", "120b", "gpt-oss-120b"},
};

constexpr std::string_view kModelKeys[] = {"model.name", "model.flavor"};
constexpr std::string_view kModelFields[] = {"/model"};

void read_model(Reading& reading) {
  const auto family = reading.text(kModelKeys[0], "/model"), flavor = reading.text(kModelKeys[1], "/model");
  if (!family || !flavor || reading.has("/model")) return;
  const auto found = std::find_if(std::begin(kFlavors), std::end(kFlavors),
                                  [&](const Flavor& f) { return f.family == *family && f.flavor == *flavor; });
  const Entry& from = *reading.document().find(kModelKeys[1]);
  if (found == std::end(kFlavors))
    reading.document().refuse(from, "must be a flavor of " + *family + " that is described here; else state --model");
  reading.state("/model", found->model, from);
}

void write_model(Writing& writing) {
  const auto model = writing.word("/model");
  if (!model) return;
  const auto found =
      std::find_if(std::begin(kFlavors), std::end(kFlavors), [&](const Flavor& f) { return f.model == *model; });
  if (found != std::end(kFlavors)) {
    writing.put(kModelKeys[0], found->family);
    writing.put(kModelKeys[1], found->flavor);
  }
  if (found == std::end(kFlavors) || writing.exists("@model")) writing.put("@model", *model);
}

/// Shards times replicas are the data-parallel ranks; -1 = as many as there are GPUs left.
constexpr std::string_view kShardingKeys[] = {"parallelism.data_parallel_shard_degree",
                                              "parallelism.data_parallel_replicate_degree",
                                              "parallelism.fsdp_reshard_after_forward"};
constexpr std::string_view kShardingFields[] = {"/gpus", "/fsdp", "/zero"};

void read_sharding(Reading& reading) {
  const int copies = reading.count(kShardingKeys[1], "/fsdp").value_or(1);
  const Entry* shard = reading.take(kShardingKeys[0], "/fsdp");
  const bool is_rest = shard == nullptr || shard->value == Value(-1);
  if (!is_rest) {
    const int shards = *reading.count(kShardingKeys[0], "/fsdp");
    std::int64_t gpus = std::int64_t{shards} * copies;
    for (const char* field : {"/tp", "/cp", "/pp"}) {
      gpus *= reading.size(field);
      if (gpus > 1 << 30) reading.document().refuse(*shard, "must give at most 2^30 GPUs");
    }
    reading.follow("/gpus", gpus);
    if (data_parallel(*reading.find("")) != std::int64_t{shards} * copies)
      reading.document().refuse(*shard, "must be, times replicas, gpus/(tp*cp*pp)");
  }
  torch::read_replicas(reading, kShardingKeys[1]);
  if (copies > 1 && shard != nullptr && shard->value == Value(1)) reading.follow("/fsdp", 0);
  constexpr Word kReshard[] = {{"always", "3"}, {"never", "2"}, {"default", ""}};
  const Entry* reshard = reading.take(kShardingKeys[2], "/zero");
  const Value stage =
      reshard == nullptr ? Value("") : *to_run({"", "", Kind::words, kReshard}, reading.document(), *reshard);
  if (stage == Value("")) return reading.follow("/zero", reading.size("/pp") > 1 ? 2 : 3);
  reading.state("/zero", stage == Value("3") ? 3 : 2, *reshard);
}

void write_sharding(Writing& writing) {
  const int dp = data_parallel(writing.run()), fsdp = writing.count("/fsdp").value_or(0);
  const int cp = writing.size("/cp");
  if (dp > 0 && fsdp > 0 && fsdp % cp == 0 && dp % (fsdp / cp) == 0) {
    writing.put(kShardingKeys[0], fsdp / cp);
    writing.put(kShardingKeys[1], dp / (fsdp / cp));
  } else if (const auto gpus = writing.count("/gpus")) {
    writing.put("@gpus", *gpus);
  }
  const auto zero = writing.count("/zero");
  const bool is_default = zero && *zero == (writing.size("/pp") > 1 ? 2 : 3);
  if (zero && *zero >= 2 && (!is_default || writing.exists(kShardingKeys[2])))
    writing.put(kShardingKeys[2], *zero == 3 ? "always" : "never");
}

constexpr torch::BatchKeys kBatch{"training.local_batch_size", "parallelism.pipeline_parallel_microbatch_size", "/lbs"};
constexpr std::string_view kBatchKeys[] = {kBatch.local, kBatch.micro, "training.global_batch_size"};
constexpr std::string_view kBatchFields[] = {"/mbs", "/lbs", "/gbs"};

void read_batch(Reading& reading) {
  torch::read_batch(reading, kBatch);
  const Entry* global = reading.take(kBatchKeys[2], "/gbs");
  if (global != nullptr && global->value != Value(-1)) {
    if (const auto samples = reading.count(kBatchKeys[2], "/gbs")) reading.state("/gbs", *samples, *global);
    return;
  }
  const std::int64_t local = reading.size(reading.size("/pp") > 1 ? "/lbs" : "/mbs");
  const std::int64_t samples = local * data_parallel(*reading.find(""));
  if (samples > 0 && samples < 1 << 30) reading.assume("/gbs", samples, "local batch times data-parallel ranks");
}

void write_batch(Writing& writing) {
  torch::write_batch(writing, kBatch);
  if (const auto samples = writing.count("/gbs")) writing.put(kBatchKeys[2], *samples);
}

/// The schedule says how many stages a rank has, unless their layers do.
constexpr std::string_view kScheduleKeys[] = {"parallelism.pipeline_parallel_schedule",
                                              "parallelism.pipeline_parallel_layers_per_stage"};
constexpr std::string_view kScheduleFields[] = {"/schedule", "/vp"};
constexpr Word kSchedules[] = {
    {"1F1B", "1f1b"}, {"Interleaved1F1B", "interleaved"}, {"GPipe", "gpipe"}, {"ZBVZeroBubble", "zb-v"}};

void read_schedule(Reading& reading) {
  const Entry* entry = reading.take(kScheduleKeys[0], "/schedule");
  const auto per_stage = reading.count(kScheduleKeys[1], "/vp");
  if (reading.size("/pp") == 1) return;
  const models::Model* model = reading.model();
  const Value schedule =
      entry == nullptr ? Value("1f1b") : *to_run({"", "", Kind::words, kSchedules}, reading.document(), *entry);
  if (entry != nullptr) reading.state("/schedule", schedule, *entry);
  const bool has_several = schedule == Value("interleaved") || schedule == Value("zb-v");
  if (per_stage && model != nullptr) {
    const auto layers = static_cast<int>(model->layers.size()), pp = reading.size("/pp");
    const int stages = (layers + *per_stage - 1) / *per_stage;
    if (stages % pp != 0)
      reading.document().refuse(*reading.document().find(kScheduleKeys[1]), "must give a multiple of the pipeline's " +
                                                                                std::to_string(pp) + " ranks, gives " +
                                                                                std::to_string(stages) + " stages");
    reading.follow("/vp", stages / pp);
  } else if (has_several) {
    reading.follow("/vp", 2);
  }
}

void write_schedule(Writing& writing) {
  const int vp = writing.size("/vp"), pp = writing.size("/pp");
  const auto stated = writing.word("/schedule");
  const std::string schedule = stated.value_or(vp > 1 ? "interleaved" : "1f1b");
  if (pp == 1) return;
  const auto known = to_recipe({"", "", Kind::words, kSchedules}, schedule);
  if (known && (stated || vp > 1)) writing.put(kScheduleKeys[0], *known);
  const models::Model* model = writing.model();
  const bool is_usual = vp == (schedule == "interleaved" || schedule == "zb-v" ? 2 : 1);
  if ((is_usual && !writing.exists(kScheduleKeys[1])) || model == nullptr) return;
  const int layers = static_cast<int>(model->layers.size());
  for (int per_stage = 1; per_stage <= layers; ++per_stage) {
    if ((layers + per_stage - 1) / per_stage == pp * vp) return writing.put(kScheduleKeys[1], per_stage);
  }
}

/// Tensor parallelism brings sequence parallelism along.
constexpr std::string_view kNothing[] = {""};

void read_facts(Reading& reading) { reading.follow("/sp", reading.size("/tp") > 1); }

/// Converters quantise the linears.
constexpr std::string_view kPrecisionKeys[] = {"model.converters"};
constexpr std::string_view kPrecisionFields[] = {"/precision"};

void read_precision(Reading& reading) {
  if (const Entry* entry = reading.take(kPrecisionKeys[0], "/precision")) {
    const auto names = to_run({entry->key, "", Kind::texts}, reading.document(), *entry);
    for (const Value& name : names ? *names->as<Value::List>() : Value::List{}) {
      const std::string& word = *name.as<std::string>();
      if (word.find("float8") != std::string::npos) reading.state("/precision", "fp8-cs", *entry);
      if (word == "mx" || word.ends_with(".mx")) reading.state("/precision", "mxfp8", *entry);
    }
  }
  reading.assume("/precision", reading.word("/overlap/fsdp/param_dtype").value_or("bf16"),
                 "the type of mixed precision");
}

void write_precision(Writing& writing) {
  const auto precision = writing.word("/precision");
  if (!precision) return;
  const bool is_quantised = *precision == "fp8-cs" || *precision == "mxfp8";
  if (is_quantised) {
    writing.put(kPrecisionKeys[0],
                Value::List{*precision == "mxfp8" ? "quantize.linear.mx" : "quantize.linear.float8"});
  } else if (writing.exists(kPrecisionKeys[0])) {
    writing.put(kPrecisionKeys[0], Value::List{});
  }
  const auto word = to_recipe({"", "", Kind::words, torch::kTypes}, *precision);
  if (word && *precision != "bf16") writing.put("training.mixed_precision_param", *word);
}

constexpr Rule kRules[] = {
    {kModelKeys, kModelFields, read_model, write_model},
    {kShardingKeys, kShardingFields, read_sharding, write_sharding},
    {kBatchKeys, kBatchFields, read_batch, write_batch},
    {kScheduleKeys, kScheduleFields, read_schedule, write_schedule},
    {kPrecisionKeys, kPrecisionFields, read_precision, write_precision},
    {kNothing, kNothing, read_facts, [](Writing&) {}},
};

constexpr Harmless kHarmlessKeys[] = {
    {"job.*", "what it is called"},
    {"profiling.*", "profiling"},
    {"metrics.*", "logging"},
    {"model.tokenizer_path", "data"},
    {"model.hf_assets_path", "data"},
    {"training.steps", "how long it trains"},
    {"training.dataset*", "data"},
    {"training.seed", "random numbers"},
    {"training.deterministic", "random numbers"},
    {"optimizer.lr", "learning rate"},
    {"optimizer.eps", "optimizer constants"},
    {"optimizer.beta*", "optimizer constants"},
    {"optimizer.weight_decay", "optimizer constants"},
    {"optimizer.implementation", "the stack has it fused"},
    {"lr_scheduler.*", "learning rate"},
    {"checkpoint.*", "checkpoints"},
    {"validation.*", "evaluation"},
    {"comm.*", "start of the processes"},
    {"debug.*", "debugging"},
    {"activation_checkpoint.selective_ac_option", "the stack's selective recompute"},
    {"compile.components", "what is compiled beside the layers"},
};

}  // namespace

const Table kTorchtitan{Format::torchtitan, kRows, kRules, kHarmlessKeys};

}  // namespace recipes
