#include <algorithm>

#include "models/blocks/layer_parts.h"
#include "models/routing.h"

namespace models {
namespace {

constexpr float kHostRouter = 8, kHostPermute = 3, kHostExchange = 4, kHostGrouped = 2;

/// Sizes of one rank's share of a MoE layer.
struct MoeShape {
  const MoeSpec& spec;
  std::int64_t tokens;    ///< that this rank dispatches
  std::int64_t width;     ///< of what is dispatched: hidden or latent
  std::int64_t rows;      ///< that its experts get, balanced
  std::int64_t received;  ///< copies that arrive before they are spread over experts
  int local_experts;
};

MoeShape shape_of(const BlockBuilder& b, const MoeSpec& spec) {
  const BlockContext& context = b.context();
  const Layout& layout = context.layout();
  const Traits& traits = context.traits();
  const double padded = traits.capacity_factor > 0 ? traits.capacity_factor : 1.0;
  const std::int64_t tokens = context.shard_tokens;
  const double copies = distinct_buckets(spec.experts, spec.top_k, layout.ep, traits.routing);
  return {.spec = spec,
          .tokens = tokens,
          .width = spec.latent > 0 ? spec.latent : context.model().hidden,
          .rows = static_cast<std::int64_t>(static_cast<double>(tokens * spec.top_k) * padded),
          .received = static_cast<std::int64_t>(static_cast<double>(tokens) * copies),
          .local_experts = std::max(1, spec.experts / layout.ep)};
}

/// Largest power of two of GPUs in an NVLink domain: groups of such sizes are placed inside one.
int domain_size(const BlockContext& context) {
  int size = 1;
  while (2 * size <= context.run.cluster.nvlink_domain) size *= 2;
  return size;
}

ExpertExchange exchange_of(const BlockBuilder& b, const MoeShape& shape, bool combine) {
  const BlockContext& context = b.context();
  const Layout& layout = context.layout();
  const int domains = std::max(1, layout.ep * layout.etp / domain_size(context));
  return {
      .tokens = shape.tokens,
      .ranks_per_token = distinct_buckets(shape.spec.experts, shape.spec.top_k, layout.ep, context.traits().routing),
      .nodes_per_token = distinct_buckets(shape.spec.experts, shape.spec.top_k, domains, context.traits().routing),
      .rows_per_token = shape.spec.top_k,
      .bytes_per_token = {static_cast<double>(shape.width) * hw::bytes_per_element(context.storage)},
      .dispatcher = context.traits().dispatcher,
      .combine = combine};
}

/// Unfused permutation kernels (index_select and scatter of torch) read and write once more.
float permute_passes(const Traits& traits) {
  const float fused = traits.fused_permute ? 1.0F : 1.5F;
  // HybridEP copies out of its buffers already permuted: 6 of DeepEP's 8 bytes per element and direction.
  return traits.dispatcher == Dispatcher::hybridep ? 0.75F : fused;
}

TensorId permute(BlockBuilder& b, const char* name, TensorId x, std::int64_t rows, float passes) {
  const TensorId y = b.activation(name, rows, b.at(x).columns);
  b.add(name, Pointwise{.kind = PointwiseKind::permute, .passes = passes}, {x}, {y}, kHostPermute);
  return y;
}

/// `map`: the router's probabilities, where this is the kernel that weighs with them.
TensorId unpermute(BlockBuilder& b, const char* name, TensorId x, std::int64_t rows, TensorId map) {
  const TensorId y = b.activation(name, rows, b.at(x).columns);
  Op& op = b.add(name, Pointwise{.kind = PointwiseKind::unpermute, .passes = permute_passes(b.context().traits())}, {x},
                 {y}, kHostPermute);
  if (map != kNoTensor) op.reads.push_back(map);
  return y;
}

TensorId exchange(BlockBuilder& b, const MoeShape& shape, TensorId x, std::int64_t rows, bool combine) {
  if (b.context().layout().ep == 1) return x;
  b.set_module(Module::dispatch);
  const TensorId y = b.activation(combine ? "combined" : "dispatched", rows, b.at(x).columns);
  b.add(combine ? "combine" : "dispatch", exchange_of(b, shape, combine), {x}, {y}, kHostExchange).stream =
      Stream::ep_comm;
  b.set_module(Module::experts);
  return y;
}

/// Tokens to expert order: [tokens, width] -> [rows, width] on the rank that has the experts.
TensorId dispatch(BlockBuilder& b, const MoeShape& shape, TensorId x) {
  const Traits& traits = b.context().traits();
  const float passes = permute_passes(traits);
  const bool row_wise = traits.dispatcher == Dispatcher::all_to_all;
  b.set_module(Module::moe_preprocess);
  if (row_wise) x = permute(b, "permute", x, shape.rows, passes);
  x = exchange(b, shape, x, row_wise ? shape.rows : shape.received, false);
  if (traits.sync_per_dispatch) {
    b.add("token_counts", HostSync{}, {x}, {}, 1);
  }
  if (!row_wise || shape.local_experts > 1) x = permute(b, "sort", x, shape.rows, passes);
  return x;
}

/// Expert order back to tokens, weighted by the router's probabilities.
TensorId combine(BlockBuilder& b, const MoeShape& shape, TensorId y, TensorId map) {
  const bool row_wise = b.context().traits().dispatcher == Dispatcher::all_to_all;
  if (!row_wise) return exchange(b, shape, unpermute(b, "unsort", y, shape.received, map), shape.tokens, true);
  if (shape.local_experts > 1) y = unpermute(b, "unsort", y, shape.rows, kNoTensor);
  return unpermute(b, "unpermute", exchange(b, shape, y, shape.rows, true), shape.tokens, map);
}

/// Rows of all local experts; ETP cuts fc1 by its output and fc2 by its input.
Weight expert_weight(const BlockBuilder& b, const MoeShape& shape, bool first) {
  const MoeSpec& spec = shape.spec;
  const WeightPart ffn{spec.expert_ffn, static_cast<int>(spec.expert_ffn)};
  Weight weight{.cut = b.context().layout().etp > 1, .by_columns = !first, .experts = spec.experts, .decayed = true};
  weight.parts = {ffn};
  if (first && spec.gated) weight.parts.push_back(ffn);
  return weight;
}

TensorId grouped(BlockBuilder& b, const char* name, const MoeShape& shape, std::int64_t out, TensorId x, bool first) {
  const BlockContext& context = b.context();
  const std::int64_t in = b.at(x).columns;
  const TensorId w = b.weight(name, shape.local_experts * out, in, expert_weight(b, shape, first));
  const bool quantised = context.matmul != context.storage;
  if (quantised) b.block().parameters.quantised_expert += b.at(w).elements();
  const TensorId y = b.activation(name, b.at(x).rows, out);
  const ExpertGemm kernel = context.traits().expert_gemm;
  // A grouped GEMM of cuBLAS is one launch per expert; fused kernels and one expert are a single launch.
  const auto launches = static_cast<float>(kernel == ExpertGemm::fused_grouped ? 1 : shape.local_experts);
  b.add(name,
        GroupedGemm{.groups = shape.local_experts,
                    .rows = b.at(x).rows,
                    .n = out,
                    .k = in,
                    .operand = context.matmul,
                    .output = context.storage,
                    .kernel = kernel},
        {x, w}, {y}, kHostGrouped + launches * (quantised ? 2.0F : 1.0F));
  if (!shape.spec.bias) return y;
  b.weight("expert_bias", shape.local_experts, out, {.experts = shape.spec.experts, .init = WeightInit::zero});
  // Grouped GEMMs have no bias epilogue: a kernel of its own, unless the activation behind fc1 takes it in.
  const bool inside = context.traits().fused_clamped_glu && first;
  return inside ? y : b.pointwise("expert_bias", {.kind = PointwiseKind::bias}, {y});
}

/// Casts in front of grouped GEMMs; a fused grouped MLP does four fifths of them inside.
TensorId quantise_rows(BlockBuilder& b, TensorId x) {
  const TensorId y = b.quantise(x);
  if (y != x && b.context().traits().expert_gemm == ExpertGemm::fused_grouped)
    std::get<Pointwise>(b.block().forward.back().work).passes *= 0.2F;
  return y;
}

TensorId experts(BlockBuilder& b, const MoeShape& shape, TensorId x) {
  const BlockContext& context = b.context();
  const MoeSpec& spec = shape.spec;
  const int etp = context.layout().etp;
  const std::int64_t ffn = spec.expert_ffn / etp;
  b.set_module(Module::experts);
  if (etp > 1) {
    const TensorId all = b.activation("etp_gathered", b.at(x).rows * etp, b.at(x).columns);
    b.add("etp_all_gather",
          Collective{.kind = CollectiveKind::all_gather, .group = GroupKind::etp, .payload = b.at(all).bytes()}, {x},
          {all}, 1)
        .stream = Stream::tp_comm;
    x = all;
  }
  const TensorId h = grouped(b, "experts_fc1", shape, spec.gated ? 2 * ffn : ffn, quantise_rows(b, x), true);
  b.set_module(Module::moe_act);
  const TensorId a = activate(b, spec.activation, spec.gated, h);
  if (context.traits().expert_gemm == ExpertGemm::fused_grouped)
    std::get<Pointwise>(b.block().forward.back().work).passes *= 0.25F;
  b.set_module(Module::experts);
  TensorId y = grouped(b, "experts_fc2", shape, shape.width, quantise_rows(b, a), false);
  if (etp > 1) {
    const TensorId mine = b.activation("etp_scattered", b.at(y).rows / etp, b.at(y).columns);
    b.add("etp_reduce_scatter",
          Collective{.kind = CollectiveKind::reduce_scatter, .group = GroupKind::etp, .payload = b.at(y).bytes()}, {y},
          {mine}, 1)
        .stream = Stream::tp_comm;
    y = mine;
  }
  return y;
}

TensorId shared_expert(BlockBuilder& b, const MoeSpec& spec, TensorId n) {
  const BlockContext& context = b.context();
  b.set_module(Module::shared_expert);
  if (context.traits().shared_expert_overlap) b.set_stream(Stream::side);
  const TensorId h = b.linear(first_linear(b, "shared_fc1", spec.shared_ffn, spec.gated), b.enter_tp(b.quantise(n)));
  const TensorId a = activate(b, spec.activation, spec.gated, h);
  const TensorId y = b.leave_tp(b.linear(
      {.name = "shared_fc2", .in = b.at(a).columns, .out = context.model().hidden, .split = TpSplit::input}, a));
  b.set_stream(Stream::compute);
  return y;
}

/// Returns the routing probabilities.
TensorId router(BlockBuilder& b, const MoeSpec& spec, TensorId n) {
  const BlockContext& context = b.context();
  const std::int64_t tokens = b.at(n).rows;
  b.set_module(Module::router);
  b.set_graphed(context.run.graph.moe_router || context.run.graph.layer);
  const bool sharded = context.sequence_parallel();
  const TensorId w =
      b.weight("router", spec.experts, context.model().hidden, {.decayed = true, .summed_over_tp = sharded});
  if (spec.router_bias) b.weight("router_bias", 1, spec.experts, {.init = WeightInit::zero, .summed_over_tp = sharded});
  const TensorId logits = b.tensor("router_logits", TensorKind::activation, b.context().wide(), tokens, spec.experts);
  if (context.traits().router_gemm) {
    b.add("router",
          Gemm{.m = tokens,
               .n = spec.experts,
               .k = context.model().hidden,
               .operand = context.storage,
               .output = context.wide()},
          {n, w}, {logits}, 3);
  }
  const TensorId map = b.tensor("routing_map", TensorKind::activation, b.context().wide(), tokens, spec.experts);
  b.add("top_k", Pointwise{.kind = PointwiseKind::router, .passes = 2}, {logits}, {map}, kHostRouter);
  return map;
}

}  // namespace

TensorId moe_part(BlockBuilder& b, const MoeSpec& spec, TensorId x) {
  const BlockContext& context = b.context();
  const MoeShape shape = shape_of(b, spec);
  b.set_module(Module::router);
  b.set_graphed(context.run.graph.moe_router || context.run.graph.layer);
  const TensorId n = b.norm("moe_norm", x);
  const TensorId map = router(b, spec, n);
  b.set_graphed(context.run.graph.moe_preprocess || context.run.graph.layer);
  TensorId routed = n;
  b.set_module(Module::moe_preprocess);
  if (spec.latent > 0)
    routed = b.linear({.name = "latent_down", .in = context.model().hidden, .out = spec.latent}, routed);
  b.set_graphed(context.run.graph.layer);
  // The shared expert is issued between dispatch and the experts, so that its stream can fill the exchange.
  TensorId shared = kNoTensor;
  if (spec.shared_ffn > 0) shared = shared_expert(b, spec, n);
  routed = dispatch(b, shape, routed);
  TensorId y = combine(b, shape, experts(b, shape, routed), map);
  b.set_module(Module::experts);
  if (spec.latent > 0) y = b.linear({.name = "latent_up", .in = spec.latent, .out = context.model().hidden}, y);
  if (shared != kNoTensor)
    y = b.pointwise("add_shared", {.kind = PointwiseKind::residual, .function = Function::add}, {y, shared});
  return b.residual(y, x);
}

}  // namespace models
