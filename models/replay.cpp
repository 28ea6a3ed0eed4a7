#include <algorithm>
#include <vector>

#include "models/backward.h"

namespace models {
namespace {

bool covers(const RecomputeModules& modules, Module module) {
  switch (module) {
    case Module::core_attention: return modules.core_attention || modules.self_attention;
    case Module::layernorm: return modules.layernorm;
    case Module::mla_up_proj: return modules.mla_up_proj || modules.self_attention;
    case Module::attention: return modules.self_attention;
    case Module::mlp: return modules.mlp;
    case Module::moe_act: return modules.moe_act || modules.moe;
    case Module::router:
    case Module::moe_preprocess:
    case Module::dispatch:
    case Module::experts: return modules.moe;
    case Module::shared_expert: return modules.moe || modules.shared_experts;
    default: return false;
  }
}

bool of_moe(Module module) { return covers({.moe = true}, module); }

/// Full recompute checkpoints a layer, or an MTP module between its embedding and its head (Megatron-Core's
/// MultiTokenPredictionLayer._proj_and_transformer_layer).
bool in_whole_block(const Replay& replay, Module module) {
  return replay.whole_block && module != Module::head && module != Module::embedding;
}

/// Checkpointed modules run again as a whole; those whose output is merely discarded (Megatron's
/// CheckpointWithoutOutput: layernorm, moe_act, mla_up_proj) run again up to what is read.
bool whole_module(const Replay& replay, Module module) {
  if (in_whole_block(replay, module)) return !replay.early_stop;
  return module == Module::mlp || module == Module::core_attention || (replay.modules.moe && of_moe(module));
}

/// Ops whose result is never kept: a gathered sequence shard is gathered again (Korthikanti et al., arXiv
/// 2205.05198, section 4.2.2), and a ring passes keys and values round again beside their gradients.
/// Mamba convolves again (mamba_ssm's mamba_split_conv1d_scan_combined keeps only what the in-projection made).
bool always_again(const Op& op) {
  const auto* pointwise = std::get_if<Pointwise>(&op.work);
  if (pointwise != nullptr) return pointwise->kind == PointwiseKind::conv;
  const auto* collective = std::get_if<Collective>(&op.work);
  return collective != nullptr && collective->kind == CollectiveKind::all_gather && collective->group == GroupKind::tp;
}
bool travels_again(const Op& op) { return std::get_if<SendRecv>(&op.work) != nullptr; }

class Inserter {
 public:
  Inserter(Block& block, const Replay& replay)
      : block_(block),
        replay_(replay),
        producer_(block.tensors.size(), -1),
        replayed_(block.forward.size(), false),
        done_(block.forward.size(), false) {
    for (std::size_t i = 0; i < block.forward.size(); ++i) {
      const Op& op = block.forward[i];
      replayed_[i] = in_whole_block(replay, op.module) || covers(replay.modules, op.module) || always_again(op) ||
                     casts_discarded(op);
      for (const TensorId id : op.writes) producer_[static_cast<std::size_t>(id)] = static_cast<int>(i);
    }
  }

  void run() {
    std::vector<Op> gradients = std::move(block_.backward);
    block_.backward.clear();
    block_.backward.reserve(gradients.size() + block_.forward.size());
    for (const Op& op : gradients) {
      for (const TensorId id : op.reads) require(id, op.module);
      block_.backward.push_back(op);
    }
  }

 private:
  /// A cast of what is discarded: the linear keeps its input as it was and casts again in backward (Transformer
  /// Engine's save_original_input, which Megatron-Core sets there). Behind a checkpointed module it keeps the cast.
  bool casts_discarded(const Op& op) const {
    const auto* pointwise = std::get_if<Pointwise>(&op.work);
    if (pointwise == nullptr || pointwise->kind != PointwiseKind::cast) return false;
    const int source = producer_[static_cast<std::size_t>(op.reads[0])];
    return source >= 0 && replayed_[static_cast<std::size_t>(source)] &&
           !whole_module(replay_, block_.forward[static_cast<std::size_t>(source)].module);
  }

  bool same_checkpoint(Module a, Module b) const {
    if (replay_.whole_block) return in_whole_block(replay_, a) == in_whole_block(replay_, b);
    return a == b || (replay_.modules.moe && of_moe(a) && of_moe(b));
  }

  /// Backward of an op of module `reader` reads `id`: run its producer again, or keep it.
  void require(TensorId id, Module reader) {
    Tensor& tensor = block_.tensors[static_cast<std::size_t>(id)];
    if (tensor.kind == TensorKind::weight || tensor.kind == TensorKind::gradient ||
        tensor.kind == TensorKind::weight_gradient)
      return;
    const int producer = producer_[static_cast<std::size_t>(id)];
    if (producer < 0 || !replayed_[static_cast<std::size_t>(producer)]) {
      tensor.kept = producer < 0 || !travels_again(block_.forward[static_cast<std::size_t>(producer)]);
      return;
    }
    const Module module = block_.forward[static_cast<std::size_t>(producer)].module;
    const bool whole = whole_module(replay_, module);
    if ((whole || in_whole_block(replay_, module)) && !same_checkpoint(reader, module)) {
      tensor.kept = true;  // what a checkpoint gave to others is theirs to keep
      return;
    }
    if (whole) {
      if (done_[static_cast<std::size_t>(producer)]) return;
      for (std::size_t i = 0; i < block_.forward.size(); ++i)
        if (replayed_[i] && same_checkpoint(block_.forward[i].module, module)) emit(i);
    } else {
      emit(static_cast<std::size_t>(producer));
    }
  }

  void emit(std::size_t index) {
    if (done_[index]) return;
    done_[index] = true;
    Op op = block_.forward[index];
    for (const TensorId id : op.reads) require(id, op.module);
    op.pass = Pass::replay;
    block_.backward.push_back(op);
  }

  Block& block_;
  const Replay& replay_;
  std::vector<int> producer_;   ///< forward op that writes a tensor
  std::vector<bool> replayed_;  ///< forward ops whose results are not kept
  std::vector<bool> done_;
};

}  // namespace

void insert_replay(Block& block, const Replay& replay) { Inserter(block, replay).run(); }

}  // namespace models
