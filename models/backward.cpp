#include "models/backward.h"

#include <cassert>
#include <vector>

#include "models/routing.h"

namespace models {
namespace {

/// Host ops of one derived kernel: autograd runs in C++, so it costs less than the module that was called forward.
constexpr float kHostMatmul = 1.6F, kHostPointwise = 1.1F, kHostCast = 4, kHostCollective = 1.1F;

class Derivation {
 public:
  explicit Derivation(BlockBuilder& builder)
      : b_(builder), block_(builder.block()), gradient_(block_.tensors.size(), kNoTensor) {
    block_.backward.reserve(2 * block_.forward.size() + 16);
    find_merged();
  }

  void run() {
    seed();
    for (std::size_t i = block_.forward.size(); i-- > 0;) {
      const Op& op = block_.forward[i];  // the list stays as it is
      source_ = &op;
      std::visit([&](const auto& work) { derive(op, work); }, op.work);
    }
    if (block_.input != kNoTensor) block_.input_gradient = gradient(block_.input);
    for (Carried& carried : block_.carried) carried.gradient = gradient(carried.tensor);
  }

 private:
  const Tensor& at(TensorId id) const { return block_.tensors[static_cast<std::size_t>(id)]; }

  /// The loss starts the chain; a layer gets its output's gradient from the next block.
  void seed() {
    for (Carried& carried : block_.carried) {
      carried.gradient_behind = storage_gradient(carried.tensor);
      gradient_[static_cast<std::size_t>(carried.tensor)] = carried.gradient_behind;
    }
    if (block_.output == kNoTensor) return;
    const Tensor& y = at(block_.output);
    block_.output_gradient = new_gradient(block_.output, y.dtype, y.rows, y.columns);
    gradient_[static_cast<std::size_t>(block_.output)] = block_.output_gradient;
  }

  TensorId new_gradient(TensorId of, hw::DType dtype, std::int64_t rows, std::int64_t columns) {
    const TensorId id = b_.tensor(at(of).name, TensorKind::gradient, dtype, rows, columns);
    block_.tensors.back().gradient_of = of;
    block_.tensors.back().routed = at(of).routed;
    return id;
  }

  TensorId storage_gradient(TensorId of) {
    const Tensor tensor = at(of);
    return new_gradient(of, b_.context().storage, tensor.rows, tensor.columns);
  }

  TensorId gradient(TensorId of) const { return gradient_[static_cast<std::size_t>(of)]; }

  Op& emit(const char* name, const Work& work, std::initializer_list<TensorId> reads,
           std::initializer_list<TensorId> writes, float host_ops) {
    block_.backward.push_back({.name = name,
                               .work = work,
                               .stream = source_->stream,
                               .module = source_->module,
                               .pass = Pass::backward,
                               .graphed = source_->graphed,
                               .host_ops = host_ops,
                               .reads = reads,
                               .writes = writes,
                               .needs = {}});
    return block_.backward.back();
  }

  /// Whether a gradient of this tensor is wanted: floating-point activations that something trained led to.
  bool differentiable(TensorId id) const {
    const Tensor& tensor = at(id);
    return tensor.kind != TensorKind::weight && tensor.kind != TensorKind::data && tensor.dtype != hw::DType::int64 &&
           tensor.dtype != hw::DType::int32 && tensor.dtype != hw::DType::boolean;
  }

  /// `g` is (part of) the gradient of `of`; several readers' parts are summed.
  void contribute(TensorId of, TensorId g) {
    TensorId& mine = gradient_[static_cast<std::size_t>(of)];
    if (mine == kNoTensor) {
      mine = g;
      return;
    }
    const TensorId before = mine;
    const TensorId sum = storage_gradient(of);
    const Stream stream = source_->stream;
    const Pointwise add{.kind = PointwiseKind::gradient_add, .backward = true, .function = Function::sum_gradients};
    Op& op = emit("gradient_add", add, {before, g}, {sum}, kHostPointwise);
    op.stream = stream == Stream::side ? Stream::side : Stream::compute;
    gradient_[static_cast<std::size_t>(of)] = sum;
  }

  /// dy in the matmul's format: one cast serves input and weight gradient.
  TensorId quantised_gradient(TensorId dy, hw::DType operand) {
    if (at(dy).dtype == operand || operand == b_.context().storage) return dy;
    const Tensor tensor = at(dy);
    const TensorId q = new_gradient(tensor.gradient_of, operand, tensor.rows, tensor.columns);
    const float passes = operand == hw::DType::fp8 ? 2.0F : operand == hw::DType::nvfp4 ? 2.4F : 4.0F / 3;
    Op& op = emit("cast_gradient", Pointwise{.kind = PointwiseKind::cast, .passes = passes, .backward = true}, {dy},
                  {q}, kHostCast);
    if (op.stream != Stream::side) op.stream = Stream::compute;
    return q;
  }

  TensorId weight_gradient(TensorId w) {
    TensorId& mine = gradient_[static_cast<std::size_t>(w)];
    if (mine == kNoTensor) {
      const Tensor tensor = at(w);
      const TensorId id = b_.tensor(tensor.name, TensorKind::weight_gradient, b_.context().traits().grad_dtype,
                                    tensor.rows, tensor.columns);
      block_.tensors.back().gradient_of = w;
      gradient_[static_cast<std::size_t>(w)] = id;
      return id;
    }
    return mine;
  }

  void derive(const Op& op, const Gemm& work) {
    const TensorId x = op.reads[0], w = op.reads[1], y = op.writes[0];
    if (gradient(y) == kNoTensor) return;
    const TensorId dy = quantised_gradient(gradient(y), work.operand);
    if (differentiable(x)) {
      const TensorId dx = storage_gradient(x);
      Gemm input = work;
      input.n = work.k;
      input.k = work.n;
      input.output = b_.context().storage;
      input.role = GemmRole::input_grad;
      emit(op.name, input, {dy, w}, {dx}, kHostMatmul);
      contribute(x, dx);
    }
    if (at(w).frozen) return;
    Gemm weight = work;
    weight.m = work.n;
    weight.n = work.k;
    weight.k = work.m;
    weight.output = b_.context().traits().grad_dtype;
    weight.role = GemmRole::weight_grad;
    Op& product = emit(op.name, weight, {x, dy}, {weight_gradient(w)}, kHostMatmul);
    product.weight_gradient = true;
    if (op.reads.size() > 2) product.writes.push_back(weight_gradient(op.reads[2]));
  }

  void derive(const Op& op, const GroupedGemm& work) {
    const TensorId x = op.reads[0], w = op.reads[1], y = op.writes[0];
    if (gradient(y) == kNoTensor) return;
    TensorId dy = quantised_gradient(gradient(y), work.operand);
    if (dy != gradient(y)) {
      Op& cast = block_.backward.back();
      if (work.kernel == ExpertGemm::fused_grouped) {
        std::get<Pointwise>(cast.work).passes *= 0.2F;  // four fifths of the casts are inside
      } else {
        cast.host_launches = expert_cast_launches(work.operand, work.groups);
      }
    }
    GroupedGemm input = work;
    input.n = work.k;
    input.k = work.n;
    input.role = GemmRole::input_grad;
    const TensorId dx = storage_gradient(x);
    emit(op.name, input, {dy, w}, {dx}, op.host_ops).host_launches = op.host_launches;
    contribute(x, dx);
    if (at(w).frozen) return;
    GroupedGemm weight = work;
    weight.output = b_.context().traits().grad_dtype;
    weight.role = GemmRole::weight_grad;
    Op& product = emit(op.name, weight, {x, dy}, {weight_gradient(w)}, op.host_ops);
    product.weight_gradient = true;
    product.host_launches = op.host_launches;
  }

  /// Where the rest of a ring was merged in: every step's backward reads the final result, so partial ones go.
  TensorId merged(TensorId part) const { return merged_[static_cast<std::size_t>(part)]; }

  void find_merged() {
    merged_.resize(block_.tensors.size());
    for (std::size_t i = 0; i < merged_.size(); ++i) merged_[i] = static_cast<TensorId>(i);
    for (auto op = block_.forward.rbegin(); op != block_.forward.rend(); ++op) {
      if (!is_merge(*op)) continue;
      for (int i = 0; i < op->reads.size(); ++i)
        merged_[static_cast<std::size_t>(op->reads[i])] = merged(op->writes[i % 2]);
    }
  }

  static bool is_merge(const Op& op) {
    const auto* pointwise = std::get_if<Pointwise>(&op.work);
    return pointwise != nullptr && pointwise->function == Function::merge_attention;
  }

  /// What the ring's op of step `step` sends on.
  const Op* ring_step(int step) const {
    int seen = 0;
    for (const Op& op : block_.forward)
      if (std::get_if<SendRecv>(&op.work) != nullptr && ++seen == step) return &op;
    return nullptr;
  }

  void derive(const Op& op, const Attention& work) {
    const TensorId out = op.writes[0];
    if (gradient(out) == kNoTensor) return;
    if (work.ring_step > 0 && work.ring_step == b_.context().layout().cp - 1) turn_ring(op);
    Attention back = work;
    back.backward = true;
    InlineVector<TensorId, 4> gradients;
    for (const TensorId in : op.reads)
      if (differentiable(in)) gradients.push_back(storage_gradient(in));
    const std::size_t core = block_.backward.size();
    emit(op.name, back, {gradient(out), merged(out)}, {}, op.host_ops);
    for (int i = 1; i < op.writes.size(); ++i) block_.backward[core].reads.push_back(merged(op.writes[i]));
    for (const TensorId in : op.reads) block_.backward[core].reads.push_back(in);
    for (const TensorId g : gradients) block_.backward[core].writes.push_back(g);
    int next = 0;
    for (const TensorId in : op.reads) {
      if (differentiable(in)) {
        contribute(in, gradients[next++]);
      } else if (!at(in).frozen) {
        block_.backward[core].writes.push_back(weight_gradient(in));
      }
    }
  }

  void derive(const Op& op, const Scan& work) {
    const TensorId xbc = op.reads[0], steps = op.reads[1], w = op.reads[2], y = op.writes[0];
    if (gradient(y) == kNoTensor) return;
    Scan back = work;
    back.backward = true;
    const TensorId dxbc = storage_gradient(xbc);
    Op& kernel = emit(op.name, back, {gradient(y), xbc, steps, w}, {dxbc}, op.host_ops);
    kernel.writes.push_back(whole_gradient(steps));
    if (!at(w).frozen) kernel.writes.push_back(weight_gradient(w));
    contribute(xbc, dxbc);
  }

  /// The gradient of a tensor of which each reader has columns of its own: each writes those.
  TensorId whole_gradient(TensorId of) {
    if (gradient(of) == kNoTensor) {
      const TensorId whole = storage_gradient(of);
      gradient_[static_cast<std::size_t>(of)] = whole;
    }
    return gradient(of);
  }

  /// Whether an op of this kind works on some columns of its operand `index`, which are no other op's.
  static bool has_columns_of(const Pointwise& work, int index) {
    switch (work.function) {
      case Function::conv: return index == 0;
      case Function::gated_norm:
      case Function::modulated_norm: return index == 1;
      case Function::gated_residual: return index == 2;
      default: return false;
    }
  }

  void derive(const Op& op, const Pointwise& work) {
    const TensorId x = op.reads[0], y = op.writes[0];
    if (work.kind == PointwiseKind::loss) return derive_loss(op, work);
    if (gradient(y) == kNoTensor) return;
    if (work.kind == PointwiseKind::cast) return contribute(x, gradient(y));  // straight through
    if (is_sum(work)) {
      // Of a merge, the row statistics have no gradient.
      const int step = work.function == Function::merge_attention ? 2 : 1;
      const int operands = work.function == Function::expert_bias ? 1 : op.reads.size();
      const TensorId dy = gradient(y);
      for (int i = 0; i < operands; i += step)
        if (differentiable(op.reads[i])) contribute(op.reads[i], dy);
      if (work.function != Function::add_positions && work.function != Function::expert_bias) return;
    }
    derive_kernel(op, work);
  }

  /// Its result's gradient is that of its operands.
  static bool is_sum(const Pointwise& work) {
    return work.function == Function::add || work.function == Function::add_positions ||
           work.function == Function::merge_attention || work.function == Function::expert_bias;
  }

  /// Passes over dy, of 2 bytes an element: sums over the rows of each expert read it twice. Behind fc2, products with
  /// the weights and their sums run on fp32 copies: about 36 bytes an element.
  static constexpr float kBiasGradient = 2, kWeightedBiasGradient = 18;

  /// One backward kernel: reads dy and what its function needs of the forward operands, writes the gradients of its
  /// inputs and adds to those of its weights.
  void derive_kernel(const Op& op, const Pointwise& work) {
    const TensorId y = op.writes[0];
    Pointwise back = work;
    back.backward = true;
    if (work.function == Function::expert_bias) back.passes = work.row_parallel ? kWeightedBiasGradient : kBiasGradient;
    const auto kernel = block_.backward.size();
    emit(op.name, back, {gradient(y)}, {}, op.host_ops * kHostPointwise).host_launches = op.host_launches;
    const auto reads = [&](TensorId id) {
      if (!block_.backward[kernel].reads.contains(id)) block_.backward[kernel].reads.push_back(id);
    };
    const auto writes = [&](TensorId id) { block_.backward[kernel].writes.push_back(id); };
    for (int i = 1; i < op.writes.size(); ++i)
      if (gradient(op.writes[i]) != kNoTensor) reads(gradient(op.writes[i]));
    if (work.kind == PointwiseKind::dropout) reads(op.writes[1]);
    for (int i = 0; i < op.reads.size(); ++i)
      if (reads_operand(work, i) || at(op.reads[i]).kind == TensorKind::data) reads(op.reads[i]);
    if (work.function == Function::route) reads(y);
    InlineVector<TensorId, 8> wanted;
    for (int i = 0; i < op.reads.size(); ++i) {
      const TensorId in = op.reads[i];
      if (!differentiable(in) || !has_gradient_kernel(work, i) || wanted.contains(in)) continue;
      if (work.kind == PointwiseKind::gated_residual && i == 1) {
        contribute(in, gradient(y));  // the residual stream
        continue;
      }
      wanted.push_back(in);
      const TensorId dx = has_columns_of(work, i) ? whole_gradient(in) : storage_gradient(in);
      writes(dx);
      if (!has_columns_of(work, i)) contribute(in, dx);
    }
    for (const TensorId in : op.reads)
      if (at(in).kind == TensorKind::weight && !at(in).frozen) writes(weight_gradient(in));
    if (wanted.empty()) block_.backward[kernel].weight_gradient = true;  // a table's scatter-add
  }

  /// Whether the kernel writes the gradient of its operand `index`.
  static bool has_gradient_kernel(const Pointwise& work, int index) {
    if (work.function == Function::expert_bias) return index == 1;  // of the rows' weights
    if (work.function == Function::unpermute) return index == 0;    // the rows carry the map's weights already
    return !is_sum(work);
  }

  /// Whether the backward kernel reads operand `index` of the forward kernel.
  static bool reads_operand(const Pointwise& work, int index) {
    if (work.function == Function::permute || work.function == Function::unpermute ||
        work.function == Function::expert_bias)
      return index > 0;
    switch (work.kind) {
      case PointwiseKind::norm:
      case PointwiseKind::qk_norm:
      case PointwiseKind::activation:
      case PointwiseKind::modulate:
      case PointwiseKind::conv:
      case PointwiseKind::scale:
      case PointwiseKind::router:
      case PointwiseKind::gated_residual: return true;
      default: return false;
    }
  }

  void derive_loss(const Op& op, const Pointwise& work) {
    if (work.function == Function::loss_statistics) return;
    const TensorId logits = op.reads[0];
    Pointwise back = work;
    back.backward = true;
    back.passes = 1;  // reads the kept probabilities (or predictions), writes the logits' gradient
    const TensorId d = storage_gradient(logits);
    const TensorId kept = work.function == Function::flow_loss ? logits : op.writes[0];
    Op& kernel = emit(op.name, back, {kept}, {d}, op.host_ops);
    if (op.reads.size() > 1) kernel.reads.push_back(op.reads[1]);
    kernel.stream = Stream::compute;
    contribute(logits, d);
  }

  void derive(const Op& op, const Collective& work) {
    const TensorId x = op.reads[0], y = op.writes[0];
    if (gradient(y) == kNoTensor) return;
    Collective adjoint = work;
    TensorId dy = gradient(y);
    if (work.kind == CollectiveKind::all_reduce) return contribute(x, dy);  // row-parallel sum: identity backward
    if (work.kind == CollectiveKind::all_gather) adjoint.kind = CollectiveKind::reduce_scatter;
    if (work.kind == CollectiveKind::reduce_scatter) {
      adjoint.kind = CollectiveKind::all_gather;
      // What the row-parallel matmul will read is cast first and gathered in its narrow format.
      dy = quantised_gradient(dy, b_.at(x).kind == TensorKind::activation ? matmul_of_producer(x) : at(dy).dtype);
    }
    if (op.writes.size() > 1) {  // rows and their weights
      adjoint.payload = at(gradient(y)).bytes();
      return emit_for_each(op, adjoint, kHostCollective);
    }
    const Tensor shape = at(x);
    const bool narrow = work.kind == CollectiveKind::reduce_scatter;
    const std::int64_t columns = work.columns.count > 0 ? work.columns.count : shape.columns;
    const TensorId dx = new_gradient(x, narrow ? at(dy).dtype : b_.context().storage, shape.rows, columns);
    if (work.kind == CollectiveKind::all_gather && !work.heads.pieces.empty()) {
      // Every rank has the same gradient of the gathered columns: it keeps its own.
      emit(op.name, Pointwise{.backward = true, .function = Function::own_columns}, {dy}, {dx}, kHostPointwise).stream =
          Stream::compute;
      return contribute(x, dx);
    }
    // The gathered side is the whole buffer.
    adjoint.payload = work.kind == CollectiveKind::all_gather ? at(gradient(y)).bytes() : at(dx).bytes();
    adjoint.columns = {};
    adjoint.heads.to_heads = !work.heads.to_heads;
    emit(op.name, adjoint, {dy}, {dx}, kHostCollective);
    contribute_columns(x, dx, work.columns);
  }

  /// Operand format of the matmul that made `y` (storage if it was not a matmul).
  hw::DType matmul_of_producer(TensorId y) const {
    for (const Op& op : block_.forward)
      if (op.writes.contains(y))
        if (const auto* gemm = std::get_if<Gemm>(&op.work)) return gemm->operand;
    return b_.context().storage;
  }

  void derive(const Op& op, const ExpertExchange& work) {
    if (gradient(op.writes[0]) == kNoTensor) return;
    ExpertExchange adjoint = work;
    adjoint.combine = !work.combine;  // the adjoint of sending copies out is summing them up, and the reverse
    emit_for_each(op, adjoint, op.host_ops);
  }

  /// An adjoint that makes the gradient of each operand from that of the result in its place.
  void emit_for_each(const Op& op, const Work& adjoint, float host_ops) {
    const std::size_t mine = block_.backward.size();
    emit(op.name, adjoint, {}, {}, host_ops);
    for (int i = 0; i < op.writes.size(); ++i) {
      if (gradient(op.writes[i]) == kNoTensor) continue;
      const TensorId dx = storage_gradient(op.reads[i]);
      block_.backward[mine].reads.push_back(gradient(op.writes[i]));
      block_.backward[mine].writes.push_back(dx);
    }
    const InlineVector<TensorId, 8> gradients = block_.backward[mine].writes;
    for (int i = 0; i < gradients.size(); ++i) contribute(op.reads[i], gradients[i]);
  }

  /// Backward, a ring turns the other way: the first keys and values needed are those of the next rank.
  void turn_ring(const Op& last_step) {
    const Op first = *ring_step(1);
    SendRecv back = std::get<SendRecv>(first.work);
    back.backward = true;
    emit("ring_kv", back, {first.reads[0]}, {last_step.reads[last_step.reads.size() - 1]}, first.host_ops).stream =
        Stream::cp_comm;
  }

  /// A ring step: keys and values go on to the rank before, and their gradients with them towards the rank that they
  /// belong to. What arrives is what the step before worked on.
  void derive(const Op& op, const SendRecv& work) {
    const TensorId x = op.reads[0], y = op.writes[0];
    if (gradient(y) == kNoTensor) return;
    SendRecv back = work;
    back.backward = true;
    back.columns = {};
    const TensorId columns = storage_gradient(y);
    const std::size_t hop = block_.backward.size();
    emit(op.name, back, {gradient(y)}, {columns}, op.host_ops);
    if (x != ring_step(1)->reads[0]) {  // that one is this rank's own
      block_.backward[hop].reads.push_back(y);
      block_.backward[hop].writes.push_back(x);
      std::get<SendRecv>(block_.backward[hop].work).payload = 2.0 * work.payload;
    }
    contribute_columns(x, columns, work.columns);
  }

  /// `g`: gradient of some columns of `of`, whose other columns have a gradient already.
  void contribute_columns(TensorId of, TensorId g, const ColumnRange& columns) {
    if (columns.count == 0 || columns.count == at(of).columns) return contribute(of, g);
    const TensorId before = gradient(of), sum = storage_gradient(of);
    assert(before != kNoTensor);
    Op& op = emit("gradient_add",
                  Pointwise{.kind = PointwiseKind::gradient_add,
                            .passes = static_cast<float>(columns.count) / static_cast<float>(at(of).columns),
                            .backward = true,
                            .function = Function::add_columns},
                  {before, g}, {sum}, kHostPointwise);
    op.stream = Stream::compute;
    gradient_[static_cast<std::size_t>(of)] = sum;
  }

  void derive(const Op& op, const TpCopy&) {
    const TensorId x = op.reads[0], y = op.writes[0];
    if (gradient(y) == kNoTensor) return;
    const TensorId dx = storage_gradient(x);
    Op& sum = emit("tp_all_reduce",
                   Collective{.kind = CollectiveKind::all_reduce, .group = GroupKind::tp, .payload = at(dx).bytes()},
                   {gradient(y)}, {dx}, kHostCollective);
    sum.stream = Stream::tp_comm;
    contribute(x, dx);
  }

  void derive(const Op&, const HostCopy&) {}
  void derive(const Op&, const HostSync&) {}
  void derive(const Op&, const OptimizerStep&) {}

  BlockBuilder& b_;
  Block& block_;
  std::vector<TensorId> gradient_;  ///< of each tensor of the forward graph so far
  std::vector<TensorId> merged_;    ///< of each tensor of the forward graph, itself where nothing was merged in
  const Op* source_ = nullptr;      ///< the forward op being differentiated
};

}  // namespace

void differentiate(BlockBuilder& builder) { Derivation(builder).run(); }

}  // namespace models
