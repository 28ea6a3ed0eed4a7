#include "models/lower.h"

#include <algorithm>
#include <utility>

#include "models/lower_blocks.h"
#include "models/lower_layout.h"

namespace models {
namespace {

/// Ranks in order tp, cp, dp, pp, innermost first; for experts etp, ep, expert_dp, pp. EP groups are contiguous inside
/// a stage.
void fill_groups(StepProgram& program) {
  const Layout& l = program.layout;
  const auto set = [&](GroupKind kind, int size, int stride) {
    program.groups[static_cast<std::size_t>(kind)] = {std::max(1, size), std::max(1, stride)};
  };
  const int shard = std::max(1, l.fsdp);
  set(GroupKind::tp, l.tp, 1);
  set(GroupKind::cp, l.cp, l.tp);
  set(GroupKind::dp, l.dp, l.tp * l.cp);
  set(GroupKind::dp_cp, l.dp * l.cp, l.tp);
  set(GroupKind::etp, l.etp, 1);
  set(GroupKind::ep, l.ep, l.etp);
  set(GroupKind::expert_dp, l.expert_dp(), l.etp * l.ep);
  set(GroupKind::pp, l.pp, l.tp * l.cp * l.dp);
  set(GroupKind::fsdp, shard, l.tp);
  set(GroupKind::replica, l.dp * l.cp / shard, l.tp * shard);
}

/// Adds this variant unless it is there; returns its index.
std::int16_t block_index(std::vector<BlockVariant>& variants, const BlockVariant& variant) {
  const auto found = std::find(variants.begin(), variants.end(), variant);
  if (found != variants.end()) return static_cast<std::int16_t>(found - variants.begin());
  variants.push_back(variant);
  return static_cast<std::int16_t>(variants.size() - 1);
}

/// `position`: how many layers of this pipeline rank come before.
BlockVariant layer_variant(const Run& run, int layer, int in_chunk, int position) {
  const auto layers = static_cast<int>(run.model.layers.size());
  const Traits& traits = run.traits;
  const int replayed = run.recompute.layers > 0 ? run.recompute.layers : layers;
  return {.kind = BlockKind::layer,
          .layer_kind = run.model.layers[static_cast<std::size_t>(layer)],
          .replayed = run.recompute.mode == RecomputeMode::full && (!run.recompute.block || in_chunk < replayed),
          .narrow = layer >= traits.bf16_first_layers && layer < layers - traits.bf16_last_layers,
          .offloaded = position < traits.offload_layers};
}

/// Megatron-Core replays MTP modules by method `uniform`, and by `block` none (multi_token_prediction.py warns of it).
BlockVariant mtp_variant(const Run& run, bool holds_embedding) {
  return {.kind = BlockKind::mtp,
          .replayed = run.recompute.mode == RecomputeMode::full && !run.recompute.block && run.traits.recompute_mtp,
          .holds_embedding = holds_embedding};
}

void append(ChunkProgram& chunk, std::int16_t block, int layer, int count = 1) {
  if (!chunk.blocks.empty() && chunk.blocks.back().block == block) {
    chunk.blocks.back().count = static_cast<std::int16_t>(chunk.blocks.back().count + count);
    return;
  }
  chunk.blocks.push_back({.block = block, .count = static_cast<std::int16_t>(count), .first_layer = layer});
}

}  // namespace

ChunkPlan plan_chunks(const Run& run) {
  ChunkPlan plan;
  plan.chunks.reserve(run.layout.chunks.size());
  std::vector<int> before(static_cast<std::size_t>(run.layout.pp), 0);
  const int first_stage = run.layout.stage_of_chunk(0);
  for (std::size_t c = 0; c < run.layout.chunks.size(); ++c) {
    const StageChunk& part = run.layout.chunks[c];
    ChunkProgram chunk{.stage = run.layout.stage_of_chunk(static_cast<int>(c)), .blocks = {}};
    // The first of the other blocks that use the token table holds a copy of it.
    const bool copies = chunk.stage != first_stage;
    const auto end = [&](BlockKind kind, bool holds) {
      return block_index(plan.variants, {.kind = kind, .holds_embedding = holds});
    };
    int& position = before[static_cast<std::size_t>(chunk.stage)];
    if (part.embedding) append(chunk, end(BlockKind::embedding, false), -1);
    for (int i = 0; i < part.layers; ++i) {
      const int layer = part.first_layer + i;
      append(chunk, block_index(plan.variants, layer_variant(run, layer, i, position++)), layer);
    }
    if (part.mtp > 0)
      append(chunk, block_index(plan.variants, mtp_variant(run, copies)), static_cast<int>(run.model.layers.size()),
             part.mtp);
    if (part.loss) append(chunk, end(BlockKind::head, copies && part.mtp == 0), -1);
    plan.chunks.push_back(std::move(chunk));
  }
  return plan;
}

namespace {

Op pipeline_send(const Run& run) {
  const Layout& l = run.layout;
  const bool divided = l.sp || run.traits.p2p_scatter;
  const double tokens = static_cast<double>(l.mbs * l.seq_len) / l.cp / (divided ? l.tp : 1);
  const double bytes =
      tokens * static_cast<double>(run.model.hidden) * hw::bytes_per_element(storage_type(run.precision));
  return {.name = "pipeline_send",
          .work = SendRecv{.group = GroupKind::pp, .payload = {bytes}},
          .stream = Stream::pp_comm,
          .module = Module::pipeline,
          .host_ops = run.graph.full_iteration ? 0.0F : 4.0F,
          .reads = {},
          .writes = {},
          .needs = {}};
}

/// Whether the token table is on a second pipeline rank too: for tied logits, or for multi-token prediction.
bool shares_embedding(const Run& run) {
  const Layout& layout = run.layout;
  for (std::size_t c = 0; c < layout.chunks.size(); ++c) {
    const bool uses = (layout.chunks[c].loss && run.model.tied_embeddings) || layout.chunks[c].mtp > 0;
    if (uses && layout.stage_of_chunk(static_cast<int>(c)) != layout.stage_of_chunk(0)) return true;
  }
  return false;
}

}  // namespace

void begin_layout(const Run& run, StepProgram& program) {
  program.layout = run.layout;
  program.traits = run.traits;
  fill_groups(program);
  program.send = pipeline_send(run);
  program.ends_share_embedding = shares_embedding(run);
}

StepProgram lower(const Run& run) {
  StepProgram program;
  ChunkPlan plan = plan_chunks(run);
  program.blocks.reserve(plan.variants.size());
  for (const BlockVariant& variant : plan.variants) program.blocks.push_back(build_block(run, variant));
  program.chunks = std::move(plan.chunks);
  begin_layout(run, program);
  lower_data_parallel(run, program);
  lower_stages(run, program);
  return program;
}

}  // namespace models
