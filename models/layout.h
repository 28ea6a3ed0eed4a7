#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/model.h"

namespace models {

enum class Schedule { one_f_one_b, interleaved, gpipe, zb_1p, zb_2p, zb_v };
enum class CpKind { ring, all_gather, all_to_all };
enum class Zero { ddp, optimizer, gradients, parameters };  ///< ZeRO stage 0 to 3 (2 = FSDP without reshard)

/// What one virtual stage holds, in order: embedding, layers, MTP modules, final norm + head + loss.
struct StageChunk {
  bool embedding = false;
  int first_layer = 0, layers = 0;  ///< layers [first_layer, first_layer + layers)
  int mtp = 0;                      ///< MTP depths placed here
  bool loss = false;
  bool operator==(const StageChunk&) const = default;
};

/// A parallel layout. gpus = tp * cp * dp * pp; expert parallelism divides tp * cp * dp.
struct Layout {
  int gpus = 1, gpus_per_node = 1;
  int tp = 1, pp = 1, vp = 1, cp = 1, ep = 1, etp = 1, dp = 1;
  bool sp = false;
  int fsdp = 0;  ///< size of the shard group; 0 = replicated parameters
  Zero zero = Zero::ddp;
  CpKind cp_kind = CpKind::ring;
  Schedule schedule = Schedule::one_f_one_b;
  int gbs = 1, mbs = 1;
  std::int64_t seq_len = 0;
  int microbatches = 1;            ///< per pipeline and step: gbs / (mbs * dp)
  int flushes = 1;                 ///< the pipeline is drained this many times a step
  std::vector<StageChunk> chunks;  ///< pp * vp of them, in model order

  int expert_dp() const { return tp * cp * dp / (ep * etp); }
  /// Pipeline rank that runs chunk c: c mod pp, or there and back for zb_v.
  int stage_of_chunk(int chunk) const {
    if (schedule == Schedule::zb_v && vp == 2) return chunk < pp ? chunk : 2 * pp - 1 - chunk;
    return chunk % pp;
  }
};

/// Parses an explicit stage layout such as `Et*4|(t*4|)*14tmL` (E embedding, t layer, m MTP, L loss; `|` ends a stage,
/// `*n` repeats a letter or a group). Throws std::invalid_argument with the rule where it does not add up to the
/// model's layers, its MTP depths (one `m` for all, or one each; nothing without MTP) or to `stages` chunks.
std::vector<StageChunk> parse_stage_layout(std::string_view text, const Model& model, int stages);

/// Splits the model evenly over `stages` chunks.
///   count_ends  embedding and loss count as one layer each (Megatron's account_for_*_in_pipeline_split)
/// Otherwise layers / stages each, the first `layers mod stages` stages one more.
std::vector<StageChunk> split_stages(const Model& model, int stages, bool count_ends);

/// The same where only one of the two ends counts.
std::vector<StageChunk> split_stages(const Model& model, int stages, bool count_embedding, bool count_loss);

}  // namespace models
