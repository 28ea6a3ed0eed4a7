#include "models/recipes/torch_rules.h"

#include <cstdint>
#include <string>

#include "models/recipes/model_names.h"
#include "models/recipes/reading.h"
#include "models/recipes/writing.h"

namespace recipes::torch {

void read_nodes(Reading& reading, std::string_view key) {
  const auto nodes = reading.count(key, "/gpus");
  if (!nodes || reading.gpus_per_node() == 0 || reading.has("/gpus")) return;
  const Entry& from = *reading.document().find(key);
  const std::int64_t gpus = std::int64_t{*nodes} * reading.gpus_per_node();
  if (gpus > 1 << 30) reading.document().refuse(from, "must give at most 2^30 GPUs");
  reading.state("/gpus", gpus, from);
}

void write_nodes(Writing& writing, std::string_view key) {
  const auto gpus = writing.count("/gpus");
  if (!gpus) return;
  const int per_node = writing.gpus_per_node();
  const bool divides = per_node > 0 && *gpus % per_node == 0;
  if (divides && (writing.is_new() || writing.exists(key))) writing.put(key, *gpus / per_node);
  if (!divides || writing.exists("@gpus") || (!writing.is_new() && !writing.exists(key))) writing.put("@gpus", *gpus);
}

void read_replicas(Reading& reading, std::string_view replicas) {
  const int copies = reading.count(replicas, "/fsdp").value_or(1);
  const std::int64_t group = std::int64_t{data_parallel(*reading.find(""))} * reading.size("/cp");
  if (group == 0) return;
  if (group % copies != 0)
    reading.document().refuse(*reading.document().find(replicas), "must divide dp*cp = " + std::to_string(group));
  reading.follow("/fsdp", group / copies);
}

void write_replicas(Writing& writing, std::string_view replicas) {
  const std::int64_t group = std::int64_t{data_parallel(writing.run())} * writing.size("/cp");
  const int fsdp = writing.count("/fsdp").value_or(0);
  if (fsdp > 0 && group % fsdp == 0 && (group != fsdp || writing.exists(replicas))) writing.put(replicas, group / fsdp);
}

void read_batch(Reading& reading, const BatchKeys& keys) {
  const bool has_pipeline = reading.size("/pp") > 1;
  const auto local = reading.count(keys.local, has_pipeline ? keys.local_field : "/mbs");
  const auto micro = reading.count(keys.micro, "/mbs");
  if (!has_pipeline) {
    if (local) reading.state("/mbs", *local, *reading.document().find(keys.local));
    return;
  }
  if (local) reading.state(keys.local_field, *local, *reading.document().find(keys.local));
  if (micro) return reading.state("/mbs", *micro, *reading.document().find(keys.micro));
  if (local) reading.assume("/mbs", 1, "the framework's microbatch in a pipeline");
}

void write_batch(Writing& writing, const BatchKeys& keys) {
  const auto mbs = writing.count("/mbs");
  if (!mbs) return;
  if (writing.size("/pp") == 1) return writing.put(keys.local, *mbs);
  writing.put(keys.micro, *mbs);
  const auto stated = writing.count("/lbs");
  if (const auto local = stated ? stated : writing.count("/overlap/pp/local_batch_size"))
    writing.put(keys.local, *local);
}

void read_repository(Reading& reading, std::string_view key) {
  const auto repository = reading.text(key, "/model");
  if (!repository || reading.has("/model")) return;
  if (const auto named = model_of_repository(*repository)) {
    reading.state("/model", *named, *reading.document().find(key));
  } else {
    reading.document().refuse(*reading.document().find(key),
                              "must be the repository of a known model; else state --model");
  }
}

void write_repository(Writing& writing, std::string_view key) {
  const auto model = writing.word("/model");
  if (!model) return;
  const auto repository = repository_of_model(*model);
  if (repository) writing.put(key, *repository);
  if (!repository || model_of_repository(*repository) != *model || writing.exists("@model"))
    writing.put("@model", *model);
}

}  // namespace recipes::torch
