#include <algorithm>
#include <vector>

#include "models/backward.h"
#include "models/schedule.h"

namespace models {
namespace {

constexpr std::int8_t kTpChunks = 4;  ///< userbuffers' splits of a collective pipelined with its GEMM
constexpr float kGraphLaunch = 2;     ///< framework ops around one captured piece

bool is_tp_transfer(const Op& op) {
  const auto* collective = std::get_if<Collective>(&op.work);
  return collective != nullptr && collective->group == GroupKind::tp && op.stream == Stream::tp_comm;
}
bool is_gemm(const Op& op) { return std::get_if<Gemm>(&op.work) != nullptr; }

/// needs: the last writer of each operand, earlier in the list. Repeated and transitive ones on the op's own stream
/// are dropped, since a stream runs in order.
void fill_needs(std::vector<Op>& ops, std::size_t tensors) {
  std::vector<std::int16_t> writer(tensors, -1);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    Op& op = ops[i];
    op.needs = {};
    for (const TensorId id : op.reads) {
      const std::int16_t by = writer[static_cast<std::size_t>(id)];
      if (by >= 0 && ops[static_cast<std::size_t>(by)].stream != op.stream && !op.needs.contains(by))
        op.needs.push_back(by);
    }
    for (const TensorId id : op.writes) writer[static_cast<std::size_t>(id)] = static_cast<std::int16_t>(i);
  }
}

/// Gathering the sequence shard again in backward is issued with the linear's own backward, not before it: it waits
/// for the op in front of it on the compute stream.
void delay_regather(std::vector<Op>& ops) {
  std::int16_t last_compute = -1;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    Op& op = ops[i];
    if (op.stream == Stream::compute) last_compute = static_cast<std::int16_t>(i);
    if (op.pass == Pass::replay && is_tp_transfer(op) && last_compute > 0 && op.needs.empty())
      op.needs.push_back(static_cast<std::int16_t>(last_compute - 1));
  }
}

void pipeline_tp(std::vector<Op>& ops) {
  for (Op& op : ops) {
    const bool transfer = is_tp_transfer(op);
    if (!transfer && !is_gemm(op)) continue;
    for (const std::int16_t need : op.needs) {
      const Op& producer = ops[static_cast<std::size_t>(need)];
      if (transfer ? is_gemm(producer) : is_tp_transfer(producer)) op.chunks = kTpChunks;
    }
  }
}

/// Inside a CUDA graph the host launches the captured piece, not its ops.
void fill_host(std::vector<Op>& ops, const CudaGraph& graph) {
  bool inside = false;
  for (Op& op : ops) {
    if (graph.full_iteration) {
      op.host_ops = op.host_launches = 0;
      continue;
    }
    if (op.graphed) {
      op.host_launches = 0;
      op.host_ops = inside ? 0 : kGraphLaunch;
    }
    inside = op.graphed;
  }
}

/// Walks a list and returns the largest sum of live bytes that are not weights; `live` starts with what is there.
class Liveness {
 public:
  explicit Liveness(const Block& block) : block_(block), tensors_(block.tensors.size()) {
    for (std::size_t t = 0; t < tensors_.size(); ++t) tensors_[t].size = size_of(block.tensors[t]);
  }

  /// `kept_is_live`: kept tensors are there from the start and go after their last reader (backward).
  /// `without_weights`: weight gradients run later, and what they read stays for them.
  double peak(const std::vector<Op>& ops, bool kept_is_live, bool without_weights = false) {
    find_last_uses(ops);
    if (without_weights) leave_to_weight_gradients(ops);
    now_ = 0;
    begin(kept_is_live);
    double worst = now_;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const Op& op = ops[i];
      if (without_weights && op.weight_gradient) continue;
      // The copy into a tensor-parallel region is what was read, if nobody reads that again.
      if (std::get_if<TpCopy>(&op.work) != nullptr) end(op.reads[0], i);
      for (const TensorId id : op.writes) start(tensor(id));
      worst = std::max(worst, now_);
      for (const TensorId id : op.reads) end(id, i);
      for (const TensorId id : op.writes) end(id, i);
    }
    return worst;
  }

 private:
  struct Life {
    double size = 0;
    int last_use = -1;  ///< by which op; -1: by none, or it stays
    bool live = false;
  };

  static bool given(const Tensor& tensor) {
    return tensor.kind == TensorKind::input || tensor.kind == TensorKind::data;
  }
  static double size_of(const Tensor& t) {
    return t.kind == TensorKind::weight || t.kind == TensorKind::weight_gradient ? 0 : t.stored_bytes().value;
  }
  Life& tensor(TensorId id) { return tensors_[static_cast<std::size_t>(id)]; }

  void find_last_uses(const std::vector<Op>& ops) {
    for (Life& life : tensors_) life.last_use = -1, life.live = false;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      for (const TensorId id : ops[i].reads) tensor(id).last_use = static_cast<int>(i);
      for (const TensorId id : ops[i].writes) tensor(id).last_use = static_cast<int>(i);
    }
  }
  void leave_to_weight_gradients(const std::vector<Op>& ops) {
    for (const Op& op : ops)
      if (op.weight_gradient)
        for (const TensorId id : op.reads) tensor(id).last_use = -1;
  }
  void begin(bool backward) {
    for (std::size_t t = 0; t < tensors_.size(); ++t) {
      const Tensor& each = block_.tensors[t];
      // What comes from outside of the block is there until its last reader, or stays for backward.
      const bool there = backward ? each.kept : given(each) && (tensors_[t].last_use >= 0 || each.kept);
      if (there) start(tensors_[t]);
      // After forward, what is kept and the block's output stay.
      const bool stays = !backward && (each.kept || static_cast<TensorId>(t) == block_.output);
      if (stays) tensors_[t].last_use = -1;
    }
    if (backward && block_.output != kNoTensor) now_ += tensor(block_.output).size;  // its gradient arrives
  }
  void start(Life& life) {
    if (life.live) return;
    life.live = true;
    now_ += life.size;
  }
  void end(TensorId id, std::size_t op) {
    Life& life = tensor(id);
    if (!life.live || life.last_use != static_cast<int>(op)) return;
    life.live = false;
    now_ -= life.size;
  }

  const Block& block_;
  std::vector<Life> tensors_;
  double now_ = 0;
};

double held_for_weights(const Block& block) {
  std::vector<bool> counted(block.tensors.size(), false);
  double held = 0;
  for (const Op& op : block.backward) {
    if (!op.weight_gradient) continue;
    for (const TensorId id : op.reads) {
      const auto at = static_cast<std::size_t>(id);
      if (counted[at] || block.tensors[at].kind == TensorKind::weight) continue;
      counted[at] = true;
      held += block.tensors[at].stored_bytes().value;
    }
  }
  return held;
}

void fill_memory(Block& block, const Layout& layout) {
  double kept = 0, offloaded = 0;
  for (const Tensor& tensor : block.tensors) {
    if (!tensor.kept || tensor.kind == TensorKind::weight) continue;
    (tensor.offloaded ? offloaded : kept) += tensor.stored_bytes().value;
  }
  block.kept = {kept};
  block.offloaded = {offloaded};
  block.held_for_weights = {held_for_weights(block)};
  Liveness liveness(block);
  block.forward_peak = {std::max(0.0, liveness.peak(block.forward, false) - kept)};
  block.backward_peak = {std::max(0.0, liveness.peak(block.backward, true) - kept)};
  if (splits_backward(layout.schedule))
    block.input_grad_peak = {std::max(0.0, liveness.peak(block.backward, true, true) - kept)};
}

}  // namespace

void finish_block(Block& block, const BlockContext& context) {
  for (std::vector<Op>* ops : {&block.forward, &block.backward}) {
    fill_needs(*ops, block.tensors.size());
    delay_regather(*ops);
    if (context.traits().tp_overlap) pipeline_tp(*ops);
    fill_host(*ops, context.run.graph);
  }
  fill_memory(block, context.layout());
}

}  // namespace models
