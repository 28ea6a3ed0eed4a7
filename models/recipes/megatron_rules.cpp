#include "models/recipes/megatron_rules.h"

#include <cstdint>
#include <string>
#include <utility>

#include "models/recipes/reading.h"
#include "models/recipes/writing.h"

namespace recipes::megatron {

/// `alltoall` and `allgather` are types; DeepEP and HybridEP are backends of the type `flex`, DeepEP unless stated.
void read_dispatcher(Reading& reading, const DispatcherKeys& keys) {
  constexpr std::string_view kField = "/moe/dispatcher";
  const Entry* type = reading.take(keys.type, kField);
  const Entry* backend = reading.take(keys.backend, kField);
  const bool is_flex = type == nullptr ? backend != nullptr : type->value == Value("flex");
  if (is_flex) {
    const Entry& from = backend != nullptr ? *backend : *type;
    if (backend == nullptr) return reading.state(kField, "deepep", from);
    if (auto word = to_run({keys.backend, kField, Kind::open_words, kFlexBackends}, reading.document(), from))
      reading.state(kField, *std::move(word), from);
  } else if (type != nullptr && !type->value.is_null()) {
    const Row row{keys.type, kField, Kind::open_words, kDispatchers};
    reading.state(kField, *to_run(row, reading.document(), *type), *type);
  }
}

void write_dispatcher(Writing& writing, const DispatcherKeys& keys) {
  const auto dispatcher = writing.word("/moe/dispatcher");
  if (!dispatcher) return;
  const bool is_flex = *dispatcher == "deepep" || *dispatcher == "hybridep";
  writing.put(keys.type, is_flex ? "flex" : *dispatcher);
  if (is_flex) writing.put(keys.backend, *dispatcher);
}

namespace {

/// Only the distributed optimizer, or nothing, is sharded.
void read_replicated(Reading& reading, const ShardingKeys& keys) {
  if (const Entry* fsdp = reading.document().find(keys.fsdp)) reading.state("/fsdp", 0, *fsdp);
  const Entry* optimizer = reading.take(keys.distributed_optimizer, "/zero");
  if (optimizer == nullptr || optimizer->value.is_null()) return;
  const Row row{keys.distributed_optimizer, "/zero", keys.are_switches ? Kind::present : Kind::flag};
  const bool is_on = *to_run(row, reading.document(), *optimizer)->as<bool>();
  reading.state("/zero", is_on ? 1 : 0, *optimizer);
}

void read_fsdp(Reading& reading, const ShardingKeys& keys, const Entry& fsdp) {
  const Entry* strategy = reading.take(keys.strategy, "/extra/fsdp/strategy");
  const std::string word = strategy == nullptr ? "optim_grads_params" : json(strategy->value);
  if (strategy != nullptr) {
    constexpr Word kStrategies[] = {{"optim_grads_params", "3"}, {"optim_grads", "2"}};
    const Row row{keys.strategy, "/zero", Kind::words, kStrategies};
    const bool is_full = *to_run(row, reading.document(), *strategy) == Value("3");
    reading.state("/zero", is_full ? 3 : 2, *strategy);
    reading.state("/extra/fsdp/strategy", strategy->value, *strategy);
  } else {
    reading.assume("/zero", 3, "the usual sharding of Megatron-FSDP");
  }
  reading.take(keys.distributed_optimizer, "/zero");
  const int instances = reading.count(keys.instances, "/extra/fsdp/instances").value_or(1);
  const Entry* stated = reading.document().find(keys.instances);
  if (stated != nullptr) reading.state("/extra/fsdp/instances", instances, *stated);
  const int group = data_parallel(Value(*reading.find(""))) * reading.size("/cp");
  if (group == 0) return;
  if (group % instances != 0) reading.document().refuse(*stated, "must divide dp*cp = " + std::to_string(group));
  reading.state("/fsdp", group / instances, fsdp);
}

}  // namespace

void read_sharding(Reading& reading, const ShardingKeys& keys) {
  const Entry* fsdp = reading.take(keys.fsdp, "/fsdp");
  const bool is_on =
      fsdp != nullptr && !fsdp->value.is_null() &&
      *to_run({keys.fsdp, "/fsdp", keys.are_switches ? Kind::present : Kind::flag}, reading.document(), *fsdp)
           ->as<bool>();
  if (is_on) return read_fsdp(reading, keys, *fsdp);
  read_replicated(reading, keys);
}

void write_sharding(Writing& writing, const ShardingKeys& keys) {
  const auto fsdp = writing.count("/fsdp"), zero = writing.count("/zero");
  const auto state = [&](std::string_view key, bool on) {
    writing.put(key, keys.are_switches && !on ? Value() : Value(on));
  };
  if (fsdp && *fsdp > 0) {
    state(keys.fsdp, true);
    writing.put(keys.strategy,
                writing.word("/extra/fsdp/strategy").value_or(zero == 2 ? "optim_grads" : "optim_grads_params"));
    const int group = data_parallel(writing.run()) * writing.size("/cp");
    const bool is_partial = group > *fsdp && group % *fsdp == 0;
    if (is_partial || writing.has("/extra/fsdp/instances")) writing.put(keys.instances, is_partial ? group / *fsdp : 1);
    return;
  }
  if (fsdp) state(keys.fsdp, false);
  if (zero && *zero <= 1) state(keys.distributed_optimizer, *zero == 1);
}

void check_model_sizes(Reading& reading, const ModelSizeKeys& keys) {
  const models::Model* model = reading.model();
  if (model == nullptr) return;
  const std::pair<std::string_view, std::int64_t> sizes[] = {
      {keys.layers, static_cast<std::int64_t>(model->layers.size())}, {keys.hidden, model->hidden}};
  for (const auto& [key, size] : sizes) {
    const auto stated = reading.count(key, "/model");
    if (stated && *stated != size)
      reading.document().refuse(*reading.document().find(key), "must be that of the model " + model->name + ", " +
                                                                   std::to_string(size) + "; else state --model");
  }
}

void read_missing_granularity(Reading& reading) {
  if (reading.has("/recompute")) reading.assume("/recompute/mode", "none", "for no granularity of it is stated");
}

}  // namespace recipes::megatron
