#include "search/space.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "models/layout_rules.h"
#include "models/schedule.h"

namespace search {
namespace {

using models::LayoutKeys;
using models::Schedule;
using Sizes = std::vector<int>;

/// Divisors of `whole`, ascending; of those the wanted ones.
Sizes divisors(std::int64_t whole, const std::optional<Sizes>& wanted) {
  Sizes sizes;
  if (wanted) {
    std::ranges::copy_if(*wanted, std::back_inserter(sizes), [&](int size) { return whole % size == 0; });
    return sizes;
  }
  for (std::int64_t size = 1; size * size <= whole; ++size) {
    if (whole % size != 0) continue;
    sizes.push_back(static_cast<int>(size));
    if (size * size != whole) sizes.push_back(static_cast<int>(whole / size));
  }
  std::ranges::sort(sizes);
  return sizes;
}

/// 1 to `most`, or the wanted ones.
Sizes counts(int most, const std::optional<Sizes>& wanted) {
  if (wanted) return *wanted;
  Sizes sizes(static_cast<std::size_t>(std::max(0, most)));
  std::iota(sizes.begin(), sizes.end(), 1);
  return sizes;
}

/// What experts can be divided by: 1 without any.
struct Experts {
  std::int64_t count = 1, width = 1;
};

Experts experts_of(const models::Model& model) {
  Experts experts;
  for (const models::LayerSpec& layer : model.kinds)
    if (layer.moe) experts = {layer.moe->experts, layer.moe->expert_ffn};
  return experts;
}

/// Whether no layout of the group can be legal: checked with all GPUs in one stage, the largest there is.
bool is_hopeless(const models::OpenRun& open, const Group& group) {
  models::Layout layout = open.base().layout;
  layout.gpus = group.keys.gpus;
  layout.tp = group.keys.tp;
  layout.cp = group.keys.cp;
  layout.ep = group.keys.ep;
  layout.etp = group.keys.etp;
  layout.sp = group.keys.sp;
  layout.cp_kind = group.keys.cp_kind.value_or(layout.cp_kind);
  layout.pp = 1;
  return models::divide_gpus(layout) || models::refused_by_model(open.base().model, layout);
}

std::vector<int> shard_sizes(const std::vector<ShardGroup>& wanted, const LayoutKeys& keys, int per_node) {
  const int ranks = keys.gpus / keys.pp / keys.tp, inside = std::gcd(ranks, std::max(1, per_node / keys.tp));
  std::set<int> sizes;
  for (const ShardGroup& group : wanted) {
    const int size = group.kind == ShardGroup::Kind::all    ? ranks
                     : group.kind == ShardGroup::Kind::node ? inside
                                                            : group.size;
    const bool is_choice = size > 1 || group.kind == ShardGroup::Kind::fixed;  // a group of one shards nothing
    if (is_choice && (size == 0 || ranks % size == 0)) sizes.insert(size);
  }
  return {sizes.begin(), sizes.end()};
}

/// Embedding, MTP and loss may have stages of their own.
constexpr int kEnds = 3;

}  // namespace

Space::Space(const Query& query, models::Library& library) : query_(query) {
  settings_.reserve(query.settings.size());
  for (const hw::Node& setting : query.settings) settings_.emplace_back(setting, library);
  for (const int gpus : query.gpus)
    for (int setting = 0; setting < settings(); ++setting) add_groups(setting, gpus);
}

void Space::add_groups(int index, int gpus) {
  const Dimensions& wanted = query_.dimensions;
  for (const int tp : divisors(gpus, wanted.tp))
    for (const int cp : divisors(gpus / tp, wanted.cp))
      for (const bool sp : wanted.sp)
        if (!sp || tp > 1) add_kinds({.setting = index, .keys = {.gpus = gpus, .tp = tp, .cp = cp, .sp = sp}});
}

/// Without context parallelism its kind is no choice.
void Space::add_kinds(Group group) {
  if (group.keys.cp == 1 || query_.dimensions.cp_kind.empty()) return add_groups_of(group);
  for (const models::CpKind kind : query_.dimensions.cp_kind) {
    group.keys.cp_kind = kind;
    add_groups_of(group);
  }
}

void Space::add_groups_of(Group group) {
  const models::OpenRun& open = setting(group.setting);
  const Dimensions& wanted = query_.dimensions;
  const Experts experts = experts_of(open.base().model);
  const Sizes batch_sizes = divisors(open.base().layout.gbs, wanted.mbs);
  const bool any_split = std::ranges::any_of(wanted.schedule, models::splits_backward);
  const bool any_whole = !std::ranges::all_of(wanted.schedule, models::splits_backward);
  for (const int ep : divisors(experts.count, wanted.ep)) {
    for (const int etp : divisors(experts.width, wanted.etp)) {
      group.keys.ep = ep;
      group.keys.etp = etp;
      if (is_hopeless(open, group)) continue;
      for (const int mbs : batch_sizes) {
        group.keys.mbs = mbs;
        for (const bool split : {false, true}) {
          group.splits_backward = split;
          if (split ? any_split : any_whole) groups_.push_back(group);
        }
      }
    }
  }
}

void Space::each(const Group& group, models::Run& run, const Visit& visit) const {
  const models::OpenRun& open = setting(group.setting);
  const Dimensions& wanted = query_.dimensions;
  const int layers = static_cast<int>(open.base().model.layers.size());
  const bool has_experts = experts_of(open.base().model).count > 1;
  LayoutKeys keys = group.keys;
  for (const int pp : divisors(keys.gpus / keys.tp / keys.cp, wanted.pp)) {
    keys.pp = pp;
    // mbs * dp divides gbs, or no layout with this pp is legal.
    if (open.base().layout.gbs / keys.mbs % (keys.gpus / keys.tp / keys.cp / pp) != 0) continue;
    const std::vector<Sharding> shardings = shardings_of(keys, has_experts, run.layout.gpus_per_node);
    for (const Schedule schedule : wanted.schedule) {
      if (models::splits_backward(schedule) != group.splits_backward) continue;
      keys.schedule = schedule;
      for (const int vp : counts(pp == 1 ? 1 : (layers + kEnds) / pp, wanted.vp)) {
        keys.vp = vp;
        for (const Sharding& sharding : shardings) {
          keys.fsdp = sharding.fsdp;
          keys.zero = sharding.zero;
          const auto refused = open.lay_out(keys, run);
          if (refused && refused->key != "fsdp" && refused->key != "zero") break;  // by any other sharding too
          if (!refused && is_wanted(run)) visit(keys, run);
        }
      }
    }
  }
}

std::vector<Space::Sharding> Space::shardings_of(const LayoutKeys& keys, bool has_experts, int per_node) const {
  std::vector<Sharding> shardings;
  // Without data parallelism there is nothing to divide optimizer states over: ZeRO 0 and 1 are the same layout.
  const int stage = keys.gpus / keys.pp;
  const bool is_alone = stage == keys.tp && (!has_experts || stage == keys.ep * keys.etp);
  const bool plain_is_wanted =
      std::ranges::find(query_.dimensions.zero, models::Zero::ddp) != query_.dimensions.zero.end();
  for (const int fsdp : shard_sizes(query_.dimensions.fsdp, keys, per_node))
    for (const models::Zero zero : query_.dimensions.zero)
      if ((zero >= models::Zero::gradients) == (fsdp > 0) &&
          !(is_alone && plain_is_wanted && zero == models::Zero::optimizer))
        shardings.push_back({fsdp, zero});
  return shardings;
}

bool Space::is_wanted(const models::Run& run) const {
  if (!allowed(query_.framework.rules, run)) return false;
  return std::ranges::none_of(query_.forbidden, [&](const Condition& each) { return each.holds(run); });
}

}  // namespace search
