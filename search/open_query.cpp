#include "search/open_query.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include "models/open_run.h"
#include "search/settings.h"

namespace search {
namespace {

using hw::Node;

/// The object without the keys of one of its objects.
Node without_inner(const Node& object, const std::string& key, std::initializer_list<std::string_view> inner) {
  const auto value = object.find(key);
  if (!value || !value->is_object()) return object;
  return merged(object, Node::parse("{\"" + key + "\": " + without(*value, inner).dump() + "}", object.file()));
}

Node opened_overlap(const Node& overlap) {
  Node open = without(overlap, {"schedule", "fsdp_strategy"});
  open = without_inner(open, "fsdp", {"reshard_after_forward"});
  open = without_inner(open, "tp", {"sequence_parallel"});
  return without_inner(
      open, "pp",
      {"schedule", "microbatches_per_flush", "flushes_per_step", "layers_per_stage_yaml", "round_virtual_stages"});
}

/// Puts the run's own recompute among those of the settings, in place of one that means the same.
void add_recompute(const Node& own, const models::Run& laid_out, models::Library& library, Query& query) {
  const Node stated = Node::parse("{\"recompute\": " + own.dump() + "}", own.file());
  const Node setting = merged(query.settings.front(), stated);
  const auto same = std::ranges::find_if(query.settings, [&](const Node& each) {
    return same_recompute(models::OpenRun(each, library).base().recompute, laid_out.recompute);
  });
  if (same != query.settings.end()) *same = setting;
  else query.settings.push_back(setting);
}

}  // namespace

Node opened(const Node& run) {
  Node open = without(
      run, {"id", "notes", "source", "trust", "measured", "hardware_note", "recompute", "tp",   "pp",      "vp", "cp",
            "ep", "etp",   "dp",     "ga",    "sp",       "mbs",           "fsdp",      "zero", "schedule"});
  open = without_inner(open, "optimizer", {"distributed"});
  open = without_inner(open, "moe", {"ep_shard", "avg_ep_ranks_per_token", "avg_8gpu_nodes_per_token"});
  open = without_inner(
      open, "extra",
      {"pp_layout", "cp_comm_type", "account_for_embedding_in_pipeline_split", "account_for_loss_in_pipeline_split"});
  const auto overlap = open.find("overlap");
  if (!overlap || !overlap->is_object()) return open;
  return merged(open, Node::parse("{\"overlap\": " + opened_overlap(*overlap).dump() + "}", run.file()));
}

bool same_recompute(const models::Recompute& a, const models::Recompute& b) {
  if (a.mode != b.mode) return false;
  if (a.mode == models::RecomputeMode::selective) return a.modules == b.modules;
  if (a.mode == models::RecomputeMode::none) return true;
  return a.block == b.block && (!a.block || a.layers == b.layers);
}

Query query_around(const Node& run, const models::Run& laid_out, models::Library& library) {
  Query query = parse_query(opened(run), library);
  const auto recompute = run.find("recompute");
  if (recompute) add_recompute(*recompute, laid_out, library, query);
  return query;
}

}  // namespace search
