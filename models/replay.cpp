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

/// Checkpointed modules run again as a whole; those whose output is merely discarded (Megatron's
/// CheckpointWithoutOutput: layernorm, moe_act, mla_up_proj) run again up to what is read.
bool whole_module(const Replay& replay, Module module) {
  if (replay.whole_block) return !replay.early_stop;
  return module == Module::mlp || module == Module::core_attention || replay.modules.moe;
}

/// Collectives whose result is never kept: a gathered sequence shard is gathered again (Korthikanti et al., arXiv
/// 2205.05198, section 4.2.2), and a ring passes keys and values round again beside their gradients.
bool always_again(const Op& op) {
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
      replayed_[i] = replay.whole_block || covers(replay.modules, op.module) || always_again(op);
      for (const TensorId id : op.writes) producer_[static_cast<std::size_t>(id)] = static_cast<int>(i);
    }
  }

  void run() {
    std::vector<Op> gradients = std::move(block_.backward);
    block_.backward.clear();
    block_.backward.reserve(gradients.size() + block_.forward.size());
    for (const Op& op : gradients) {
      for (const TensorId id : op.reads) require(id);
      block_.backward.push_back(op);
    }
  }

 private:
  /// Backward reads `id`: run its producer again, or keep it.
  void require(TensorId id) {
    Tensor& tensor = block_.tensors[static_cast<std::size_t>(id)];
    if (tensor.kind == TensorKind::weight || tensor.kind == TensorKind::gradient ||
        tensor.kind == TensorKind::weight_gradient)
      return;
    const int producer = producer_[static_cast<std::size_t>(id)];
    if (producer < 0 || !replayed_[static_cast<std::size_t>(producer)]) {
      tensor.kept = producer < 0 || !travels_again(block_.forward[static_cast<std::size_t>(producer)]);
      return;
    }
    if (done_[static_cast<std::size_t>(producer)]) return;
    const Module module = block_.forward[static_cast<std::size_t>(producer)].module;
    if (whole_module(replay_, module)) {
      for (std::size_t i = 0; i < block_.forward.size(); ++i)
        if (replayed_[i] && (replay_.whole_block || block_.forward[i].module == module || replay_.modules.moe)) emit(i);
    } else {
      emit(static_cast<std::size_t>(producer));
    }
  }

  void emit(std::size_t index) {
    if (done_[index]) return;
    done_[index] = true;
    Op op = block_.forward[index];
    for (const TensorId id : op.reads) require(id);
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
