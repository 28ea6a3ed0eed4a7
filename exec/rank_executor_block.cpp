#include <algorithm>
#include <string_view>
#include <utility>

#include "exec/diffusion_source.h"
#include "exec/element.h"
#include "exec/rank_executor.h"

namespace exec {
namespace {

using models::Phase;
using models::TensorKind;

std::size_t at(models::TensorId id) { return static_cast<std::size_t>(id); }

/// The group of ranks that an op talks to, if it does.
struct GroupOf {
  const models::GroupKind* operator()(const models::Collective& work) const { return &work.group; }
  const models::GroupKind* operator()(const models::SendRecv& work) const { return &work.group; }
  const models::GroupKind* operator()(const models::ExpertExchange&) const {
    static constexpr models::GroupKind kExperts = models::GroupKind::ep;
    return &kExperts;
  }
  template <typename Other>
  const models::GroupKind* operator()(const Other&) const {
    return nullptr;
  }
};

bool is_loss(const models::Op& op) {
  const auto* pointwise = std::get_if<models::Pointwise>(&op.work);
  return pointwise != nullptr &&
         (pointwise->function == models::Function::loss || pointwise->function == models::Function::flow_loss);
}

bool is_router(const models::Op& op) {
  const auto* pointwise = std::get_if<models::Pointwise>(&op.work);
  return pointwise != nullptr && pointwise->function == models::Function::route;
}

/// Weight of multi-token prediction in the loss, all depths together (DeepSeek V3, arXiv 2412.19437, section 4.2; the
/// later of its two values).
constexpr double kMtpLoss = 0.1;

}  // namespace

const PassPlan& RankExecutor::plan(std::int16_t block, Phase phase) {
  const auto key = std::pair{block, phase};
  const auto found = plans_.find(key);
  if (found != plans_.end()) return found->second;
  return plans_.emplace(key, plan_pass(program_.blocks[static_cast<std::size_t>(block)], phase)).first->second;
}

void RankExecutor::run_pass(const BlockInstance& instance, Phase phase, Tensors& tensors, std::int64_t task,
                            int position) {
  const models::Block& block = this->block(instance);
  const bool forward = phase == Phase::forward;
  const auto& ops = forward ? block.forward : block.backward;
  for (const PassPlan::Step& step : plan(instance.block, phase).steps) {
    const auto list = forward ? models::OpList::forward : models::OpList::backward;
    run_op(instance, ops[static_cast<std::size_t>(step.op)], step, tensors,
           models::op_id(task, position, list, step.op));
    for (const models::TensorId id : step.release) tensors[id] = {};
  }
}

View RankExecutor::new_tensor(const models::Tensor& tensor, const Tensors& tensors) {
  std::int64_t rows = tensor.rows;
  if (tensor.routed == models::RoutedRows::received) rows = tensors.routing->all_received();
  if (tensor.routed == models::RoutedRows::gathered) rows = tensors.routing->all_gathered();
  const auto bytes =
      static_cast<std::size_t>(static_cast<double>(rows * tensor.columns) * hw::bytes_per_element(tensor.dtype));
  return {.buffer = device_.allocate(bytes), .rows = rows, .columns = tensor.columns, .dtype = tensor.dtype};
}

View RankExecutor::operand(const BlockInstance& instance, models::TensorId id, Tensors& tensors) {
  const models::Tensor& tensor = block(instance).tensors[at(id)];
  if (tensor.kind == TensorKind::weight) return parameters_.weight(instance, id);
  if (tensor.kind == TensorKind::weight_gradient) return parameters_.gradient(instance, tensor.gradient_of);
  if (!tensors[id].buffer) tensors[id] = new_tensor(tensor, tensors);
  return tensors[id];
}

void RankExecutor::run_op(const BlockInstance& instance, const models::Op& op, const PassPlan::Step& step,
                          Tensors& tensors, std::int64_t id) {
  if (moves(op, step)) tensors[op.writes[0]] = tensors[op.reads[0]];
  const bool routes = is_router(op);
  if (routes && !tensors.routing) tensors.routing = std::make_shared<ExpertRouting>();
  OpCall call{.op = &op, .facts = &facts_, .routing = tensors.routing};
  for (const models::TensorId read : op.reads) {
    call.reads.push_back(operand(instance, read, tensors));
    if (call.reads[call.reads.size() - 1].written.stream != op.stream)
      device_.wait(op.stream, call.reads[call.reads.size() - 1].written);
  }
  for (const models::TensorId write : op.writes) {
    const bool adds = block(instance).tensors[at(write)].kind == TensorKind::weight_gradient;
    if (adds) call.added_to |= static_cast<std::uint16_t>(1 << call.writes.size());
    call.writes.push_back(operand(instance, write, tensors));
  }
  if (const models::GroupKind* kind = std::visit(GroupOf{}, op.work)) call.group = &communicator(*kind);
  const bool mtp = block(instance).kind == models::BlockKind::mtp;
  call.loss_factor = facts_.loss_factor * (mtp ? kMtpLoss / run_.model.mtp.depth : 1);
  device_.launch(call, op.stream, id);
  if (routes && op.pass == models::Pass::forward) {
    device_.synchronize();  // the host allocates what the router decides
    exchange_counts(*tensors.routing);
  }
  const Event written = device_.record(op.stream);
  for (const models::TensorId write : op.writes) tensors[write].written = written;
  if (is_loss(op) && op.pass != models::Pass::backward && op.pass != models::Pass::replay)
    device_.add_sum(call.writes[call.writes.size() - 1], call.loss_factor, &loss_, op.stream);
}

/// Tells the ranks of the experts how many rows they will get.
void RankExecutor::exchange_counts(ExpertRouting& routing) {
  const std::vector<std::int64_t> counts = sort_by_expert(routing);
  const int ep = grid_.size(models::GroupKind::ep), etp = grid_.size(models::GroupKind::etp);
  routing.local_experts = routing.experts / ep;
  const auto local = static_cast<std::size_t>(routing.local_experts), ranks = static_cast<std::size_t>(ep);
  std::vector<std::int64_t> arriving(counts.size());
  if (ep > 1) {
    communicator(models::GroupKind::ep)
        .all_to_all(counts.data(), arriving.data(), routing.local_experts, hw::DType::int64);
  } else {
    arriving = counts;
  }
  routing.sent.assign(ranks, 0);
  routing.received.assign(ranks, 0);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    routing.sent[i / local] += counts[i];
    routing.received[i / local] += arriving[i];
  }
  std::vector<std::int64_t> of_peers = arriving;
  if (etp > 1) {
    of_peers.resize(arriving.size() * static_cast<std::size_t>(etp));
    communicator(models::GroupKind::etp)
        .all_gather(arriving.data(), of_peers.data(), static_cast<std::int64_t>(arriving.size()), hw::DType::int64);
  }
  routing.arriving.clear();
  routing.received_by_peer.assign(static_cast<std::size_t>(etp), 0);
  for (std::size_t first = 0; first < of_peers.size(); first += local) {
    const auto from = of_peers.begin() + static_cast<std::ptrdiff_t>(first);
    routing.arriving.emplace_back(from, from + static_cast<std::ptrdiff_t>(local));
    for (const std::int64_t rows : routing.arriving.back()) routing.received_by_peer[first / counts.size()] += rows;
  }
}

/// What a microbatch has of the batch on this rank.
void RankExecutor::fill_data(const BlockInstance& instance, const models::PipelineTask& task, Tensors& tensors) {
  const models::Block& block = this->block(instance);
  const models::Layout& layout = run_.layout;
  const std::int64_t first = step_ * layout.gbs +
                             std::int64_t{grid_.index(models::GroupKind::dp)} * (layout.gbs / layout.dp) +
                             std::int64_t{task.microbatch} * layout.mbs;
  for (std::size_t t = 0; t < block.tensors.size(); ++t) {
    const models::Tensor& tensor = block.tensors[t];
    if (tensor.kind != TensorKind::data) continue;
    tensors.views[t] = new_tensor(tensor, tensors);
    run_.model.dit ? fill_patches(tensor, first, tensors.views[t]) : fill_tokens(tensor, first, tensors.views[t]);
  }
}

/// Token ids or labels.
void RankExecutor::fill_tokens(const models::Tensor& tensor, std::int64_t first_sequence, const View& to) const {
  const std::string_view name = tensor.name;
  const int depth = run_.model.mtp.depth;
  const std::int64_t shift = name == "ids" ? 0 : name == "labels" || name == "next_ids" ? 1 : 2;
  auto* id = static_cast<std::int64_t*>(to.data());
  for (std::int64_t b = 0; b < run_.layout.mbs; ++b) {
    const auto sequence = tokens_->tokens(first_sequence + b, run_.layout.seq_len + 1 + depth);
    for (const std::int32_t position : facts_.mine()) *id++ = sequence[static_cast<std::size_t>(position + shift)];
  }
}

/// Patches of this rank's positions; text and time are the same on all of a sequence's ranks.
void RankExecutor::fill_patches(const models::Tensor& tensor, std::int64_t first_sequence, const View& to) const {
  const DiffusionSource source(*run_.model.dit, run_.layout.seq_len, run_.train.seed);
  const bool divided = std::string_view(tensor.name) == "latents" || std::string_view(tensor.name) == "velocity";
  const std::int64_t rows = to.rows / run_.layout.mbs;
  std::int64_t next = 0;
  for (std::int64_t i = 0; i < to.rows; ++i) {
    const std::int64_t place = i % rows;
    const std::int64_t position = divided ? facts_.mine()[static_cast<std::size_t>(place)] : place;
    for (const double value : source.row(tensor.name, first_sequence + i / rows, position))
      set_element(to, next++, value);
  }
}

// ---- What blocks read beside their input ----

void RankExecutor::take_carried(const models::Block& block, const Saved& saved, Tensors& tensors) const {
  for (const models::Carried& carried : block.carried)
    if (block.tensors[at(carried.tensor)].kind == TensorKind::input)
      tensors[carried.tensor] = saved.carried.at(carried.name);
}

void RankExecutor::keep_carried(const models::Block& block, Tensors& tensors, Saved& saved) const {
  for (const models::Carried& carried : block.carried)
    if (block.tensors[at(carried.tensor)].kind != TensorKind::input)
      saved.carried[carried.name] = tensors[carried.tensor];
}

void RankExecutor::take_carried_gradients(const models::Block& block, Saved& saved, Tensors& tensors) {
  for (const models::Carried& carried : block.carried) {
    View gradient = std::move(saved.gradients[carried.name]);
    if (!gradient.buffer) {
      gradient = new_tensor(block.tensors[at(carried.gradient_behind)], tensors);
      device_.fill_zero(gradient, models::Stream::compute);
      gradient.written = device_.record(models::Stream::compute);
    }
    tensors[carried.gradient_behind] = std::move(gradient);
  }
}

void RankExecutor::keep_carried_gradients(const models::Block& block, Tensors& tensors, Saved& saved) const {
  for (const models::Carried& carried : block.carried)
    saved.gradients[carried.name] = std::move(tensors[carried.gradient]);
}

}  // namespace exec
