#include "models/layout_rules.h"

#include <cstdint>
#include <string>

namespace models {
namespace {

std::string text(std::int64_t number) { return std::to_string(number); }

/// Counts of a microbatch's tokens, times experts and their shards, must fit 63 bits.
constexpr std::int64_t kMostTokens = std::int64_t{1} << 32;

/// Schedules are laid out task by task: as many take about a second.
constexpr std::int64_t kMostTasks = std::int64_t{1} << 21;

const char* name(Schedule schedule) {
  constexpr const char* kNames[] = {"1f1b", "interleaved", "gpipe", "zb-1p", "zb-2p", "zb-v"};
  return kNames[static_cast<int>(schedule)];
}

}  // namespace

std::optional<Refusal> divide_gpus(Layout& layout) {
  // Each size is below 2^31: divide step by step, a product could overflow.
  std::int64_t rest = layout.gpus;
  for (const int size : {layout.tp, layout.cp, layout.pp}) {
    if (rest % size != 0) {
      return Refusal{"gpus", "must be a multiple of tp*cp*pp = " + text(layout.tp) + "*" + text(layout.cp) + "*" +
                                 text(layout.pp)};
    }
    rest /= size;
  }
  layout.dp = static_cast<int>(rest);
  return {};
}

std::optional<Refusal> refused_shard_group(const Layout& layout) {
  const std::int64_t group = std::int64_t{layout.dp} * layout.cp;
  if (layout.fsdp == 0 || group % layout.fsdp == 0) return {};
  return Refusal{"fsdp", "must divide dp*cp = " + text(group)};
}

std::optional<Refusal> refused_sharding(const Layout& layout) {
  const bool sharded = layout.zero == Zero::gradients || layout.zero == Zero::parameters;
  if (sharded == (layout.fsdp > 0)) return {};
  return Refusal{"zero", layout.fsdp > 0
                             ? "must be 2 (kept gathered) or 3 (reshard after forward) with fsdp > 0"
                             : "must be 1 (distributed optimizer) or 0 with fsdp 0; stages 2 and 3 need fsdp > 0"};
}

std::optional<Refusal> refused_schedule(const Layout& layout) {
  if (layout.vp > 1 && layout.pp == 1) return Refusal{"vp", "needs pp > 1"};
  if (layout.schedule == Schedule::zb_v)
    return layout.vp == 2 ? std::optional<Refusal>{} : Refusal{"vp", "must be 2 with schedule zb-v"};
  if (layout.schedule == Schedule::interleaved)
    return layout.vp > 1 ? std::optional<Refusal>{} : Refusal{"vp", "must be > 1 with schedule interleaved"};
  if (layout.vp == 1) return {};
  return Refusal{"vp", std::string("must be 1 with schedule ") + name(layout.schedule)};
}

std::optional<Refusal> divide_batch(Layout& layout) {
  const std::int64_t samples = std::int64_t{layout.mbs} * layout.dp;
  if (layout.gbs % samples != 0)
    return Refusal{"gbs", "must be a multiple of mbs*dp = " + text(layout.mbs) + "*" + text(layout.dp)};
  layout.microbatches = static_cast<int>(layout.gbs / samples);
  return {};
}

std::optional<Refusal> refused_tokens(const Layout& layout) {
  if (layout.seq_len <= kMostTokens / layout.mbs) return {};
  return Refusal{"seq_len",
                 "must give at most " + text(kMostTokens) + " tokens a microbatch (mbs is " + text(layout.mbs) + ")"};
}

std::optional<Refusal> divide_into_flushes(int local_batch, Layout& layout) {
  layout.flushes = 1;
  if (local_batch == 0) return {};
  const int per_rank = layout.gbs / layout.dp;
  if (local_batch % layout.mbs != 0)
    return Refusal{"lbs", "must give a local batch that mbs (" + text(layout.mbs) + ") divides"};
  if (per_rank % local_batch != 0)
    return Refusal{"lbs", "must give a local batch that divides gbs/dp = " + text(per_rank)};
  if (layout.pp > 1) layout.flushes = per_rank / local_batch;
  return {};
}

std::optional<Refusal> refused_stages(const Model& model, const Layout& layout) {
  const std::int64_t stages = std::int64_t{layout.pp} * layout.vp;
  const auto layers = static_cast<std::int64_t>(model.layers.size());
  if (stages <= layers + 3) return {};  // E, m and L may have stages
  return Refusal{"pp", "must, times vp, be at most the model's " + text(layers) + " layers, is " + text(stages)};
}

std::optional<Refusal> refused_schedule_size(const Layout& layout) {
  const std::int64_t microbatches = layout.microbatches / layout.flushes, stages = std::int64_t{layout.pp} * layout.vp;
  if (microbatches <= kMostTasks / stages) return {};
  return Refusal{"gbs", "must give at most " + text(kMostTasks) + " microbatches times stages (pp*vp) a flush, gives " +
                            text(microbatches) + "*" + text(stages)};
}

}  // namespace models
