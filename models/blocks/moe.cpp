#include <algorithm>

#include "models/blocks/layer_parts.h"
#include "models/routing.h"

namespace models {
namespace {

constexpr float kHostRouter = 8, kHostPermute = 3, kHostExchange = 4, kHostAllToAll = 3 * kHostExchange,
                kHostGrouped = 2;

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
  const double copies = distinct_buckets(spec, layout.ep, traits.routing);
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
  return {.tokens = shape.tokens,
          .ranks_per_token = distinct_buckets(shape.spec, layout.ep, context.traits().routing),
          .nodes_per_token = distinct_buckets(shape.spec, domains, context.traits().routing),
          .rows_per_token = shape.spec.top_k,
          .bytes_per_token = {static_cast<double>(shape.width) * hw::bytes_per_element(context.storage)},
          .dispatcher = context.traits().dispatcher,
          .combine = combine};
}

float row_bytes(const BlockBuilder& b, const MoeShape& shape) {
  return static_cast<float>(static_cast<double>(shape.width) * hw::bytes_per_element(b.context().storage));
}

/// Unfused permutation kernels (index_select and scatter of torch) read and write once more.
float permute_passes(const Traits& traits) {
  const float fused = traits.fused_permute ? 1.0F : 1.5F;
  // HybridEP copies out of its buffers already permuted: 6 of DeepEP's 8 bytes per element and direction.
  return traits.dispatcher == Dispatcher::hybridep ? 0.75F : fused;
}

/// HybridEP permutes in the call that exchanges (dispatch_with_permute, combine_with_unpermute).
float host_of_sort(const Traits& traits) { return traits.dispatcher == Dispatcher::hybridep ? 0 : kHostPermute; }

/// NCCL's exchange takes lists of sizes: rows and weights are split, sent and put together by calls of their own. How
/// many is an estimate: three calls, for sizes, rows and weights, of as many ops as DeepEP's one.
float host_of_exchange(const Traits& traits) {
  return traits.dispatcher == Dispatcher::all_to_all ? kHostAllToAll : kHostExchange;
}

/// Rows for experts and the router's weight of each.
struct Routed {
  TensorId rows = kNoTensor, weights = kNoTensor;
};

/// Two tensors side by side for what an op makes of `from`.
Routed like(BlockBuilder& b, const char* name, const Routed& from, std::int64_t rows, RoutedRows routed) {
  const Routed to{.rows = b.activation(name, rows, b.at(from.rows).columns),
                  .weights = b.tensor("row_weights", TensorKind::activation, b.context().wide(), rows, 1)};
  for (const TensorId id : {to.rows, to.weights}) b.block().tensors[static_cast<std::size_t>(id)].routed = routed;
  return to;
}

TensorId routed_activation(BlockBuilder& b, const char* name, std::int64_t rows, std::int64_t columns,
                           RoutedRows routed) {
  const TensorId id = b.activation(name, rows, columns);
  b.block().tensors[static_cast<std::size_t>(id)].routed = routed;
  return id;
}

/// Which function a kernel of this dispatcher computes: the others move tokens in ways that only they know.
Function of_row_wise(const BlockBuilder& b, Function function) {
  return b.context().traits().dispatcher == Dispatcher::all_to_all ? function : Function::none;
}

/// Tokens to expert order: [tokens, width] -> [rows, width] on the rank that has the experts.
Routed dispatch(BlockBuilder& b, const MoeShape& shape, TensorId x, TensorId map) {
  const Traits& traits = b.context().traits();
  const int etp = b.context().layout().etp, ep = b.context().layout().ep;
  const float passes = permute_passes(traits);
  const bool row_wise = traits.dispatcher == Dispatcher::all_to_all;
  const RoutedRows arriving = ep > 1 ? RoutedRows::received : RoutedRows::none;
  b.set_module(Module::moe_preprocess);
  Routed routed{.rows = x, .weights = map};
  // Sizes of the exchange must be known to issue it: the host waits for the router's counts, not for the rows.
  if (traits.sync_per_dispatch) b.add("token_counts", HostSync{}, {map}, {}, 1);
  if (row_wise) {
    routed = like(b, "permute", routed, shape.rows, RoutedRows::none);
    b.add("permute",
          Pointwise{.kind = PointwiseKind::permute,
                    .passes = passes,
                    .function = Function::permute,
                    .row_bytes = row_bytes(b, shape)},
          {x, map}, {routed.rows, routed.weights}, kHostPermute);
  }
  if (ep > 1) {
    b.set_module(Module::dispatch);
    const Routed sent = routed;
    routed = like(b, "dispatched", sent, row_wise ? shape.rows : shape.received, arriving);
    b.add("dispatch", exchange_of(b, shape, false), {sent.rows, sent.weights}, {routed.rows, routed.weights},
          host_of_exchange(traits))
        .stream = Stream::ep_comm;
    b.set_module(Module::experts);
  }
  if (etp > 1) {
    const Routed mine = routed;
    routed = like(b, "etp_gathered", mine, b.at(mine.rows).rows * etp, RoutedRows::gathered);
    b.add("etp_all_gather",
          Collective{.kind = CollectiveKind::all_gather, .group = GroupKind::etp, .payload = b.at(routed.rows).bytes()},
          {mine.rows, mine.weights}, {routed.rows, routed.weights}, 1)
        .stream = Stream::tp_comm;
  }
  if (!row_wise || shape.local_experts > 1) {
    const Routed unsorted = routed;
    routed = like(b, "sort", unsorted, shape.rows * etp, etp > 1 ? RoutedRows::gathered : arriving);
    b.add("sort",
          Pointwise{.kind = PointwiseKind::permute,
                    .passes = passes,
                    .function = of_row_wise(b, Function::sort_rows),
                    .row_bytes = row_bytes(b, shape)},
          {unsorted.rows, unsorted.weights}, {routed.rows, routed.weights}, host_of_sort(traits));
  }
  return routed;
}

/// Expert order back to tokens. The rows carry the router's weights already.
TensorId combine(BlockBuilder& b, const MoeShape& shape, TensorId y, TensorId map) {
  const Traits& traits = b.context().traits();
  const int etp = b.context().layout().etp, ep = b.context().layout().ep;
  const bool row_wise = traits.dispatcher == Dispatcher::all_to_all;
  const RoutedRows arriving = ep > 1 ? RoutedRows::received : RoutedRows::none;
  const Pointwise work{.kind = PointwiseKind::unpermute,
                       .passes = permute_passes(traits),
                       .function = of_row_wise(b, Function::unsort_rows),
                       .row_bytes = row_bytes(b, shape)};
  if (!row_wise || shape.local_experts > 1) {
    const std::int64_t rows = (row_wise ? shape.rows : shape.received) * etp;
    const TensorId sorted = y;
    y = routed_activation(b, "unsort", rows, b.at(y).columns, etp > 1 ? RoutedRows::gathered : arriving);
    b.add("unsort", work, {sorted}, {y}, host_of_sort(traits));
  }
  if (etp > 1) {
    const TensorId whole = y;
    y = routed_activation(b, "etp_scattered", b.at(y).rows / etp, b.at(y).columns, arriving);
    b.add("etp_reduce_scatter",
          Collective{.kind = CollectiveKind::reduce_scatter, .group = GroupKind::etp, .payload = b.at(whole).bytes()},
          {whole}, {y}, 1)
        .stream = Stream::tp_comm;
  }
  if (ep > 1) {
    b.set_module(Module::dispatch);
    const TensorId mine = y;
    y = b.activation("combined", row_wise ? shape.rows : shape.tokens, b.at(y).columns);
    b.add("combine", exchange_of(b, shape, true), {mine}, {y}, host_of_exchange(traits)).stream = Stream::ep_comm;
    b.set_module(Module::experts);
  }
  if (!row_wise) return y;
  const TensorId tokens = b.activation("unpermute", shape.tokens, b.at(y).columns);
  Pointwise last = work;
  last.function = Function::unpermute;
  b.add("unpermute", last, {y, map}, {tokens}, kHostPermute);
  return tokens;
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

// Megatron-Core's TEGroupedMLP and AutoModel's experts split the rows by expert, add the bias and concatenate: two
// passes. Behind fc2 the bias is first multiplied by the fp32 weights, so that product, sum and concatenation are fp32:
// 4 + (6 + 4) + 8 + 6 bytes an element in place of 4.
constexpr float kBiasPasses = 2, kWeightedBiasPasses = 7;

/// One of the two matmuls of all local experts. `weights` of rows: where they multiply its bias.
TensorId grouped(BlockBuilder& b, const char* name, const char* bias, const MoeShape& shape, std::int64_t out,
                 TensorId x, bool first, TensorId weights) {
  const BlockContext& context = b.context();
  const std::int64_t in = b.at(x).columns;
  const Weight weight = expert_weight(b, shape, first);
  const TensorId w = b.weight(name, shape.local_experts * out, in, weight);
  const bool quantised = context.matmul != context.storage;
  if (quantised) b.block().parameters.quantised_expert += b.at(w).elements();
  const TensorId y = routed_activation(b, name, b.at(x).rows, out, b.at(x).routed);
  const ExpertGemm kernel = context.traits().expert_gemm;
  const auto launches = static_cast<float>(one_kernel(kernel) ? 1 : shape.local_experts);
  b.add(name,
        GroupedGemm{.groups = shape.local_experts,
                    .rows = b.at(x).rows,
                    .n = out,
                    .k = in,
                    .operand = context.matmul,
                    .output = context.storage,
                    .kernel = kernel},
        {x, w}, {y}, kHostGrouped)
      .host_launches = launches * (quantised ? 2.0F : 1.0F);
  if (!shape.spec.bias) return y;
  Weight of_bias{.experts = shape.spec.experts, .init = WeightInit::zero};
  if (first) {
    of_bias.cut = of_bias.by_columns = weight.cut;
    of_bias.parts = weight.parts;
  }
  const TensorId values = b.weight(bias, shape.local_experts, out, of_bias);
  // Grouped GEMMs have no bias epilogue: a kernel of its own, unless the activation behind fc1 takes it in.
  if (context.traits().fused_clamped_glu && first) return y;
  const TensorId biased = routed_activation(b, "expert_bias", b.at(y).rows, out, b.at(y).routed);
  Op& op = b.add("expert_bias",
                 Pointwise{.kind = PointwiseKind::bias,
                           .passes = first ? kBiasPasses : kWeightedBiasPasses,
                           .function = Function::expert_bias,
                           .row_parallel = !first},
                 {y}, {biased}, 2);
  op.host_launches = static_cast<float>(shape.local_experts) * (first ? 1.0F : 2.0F);
  if (!first) op.reads.push_back(weights);
  op.reads.push_back(values);
  return biased;
}

/// Casts in front of grouped GEMMs; a fused grouped MLP does four fifths of them inside.
TensorId quantise_rows(BlockBuilder& b, const MoeShape& shape, TensorId x) {
  const TensorId y = b.quantise(x);
  if (y == x) return y;
  Op& cast = b.block().forward.back();
  if (b.context().traits().expert_gemm == ExpertGemm::fused_grouped) {
    std::get<Pointwise>(cast.work).passes *= 0.2F;
  } else {
    cast.host_launches = expert_cast_launches(b.context().matmul, shape.local_experts);
  }
  return y;
}

TensorId experts(BlockBuilder& b, const MoeShape& shape, const Routed& routed) {
  const BlockContext& context = b.context();
  const MoeSpec& spec = shape.spec;
  const std::int64_t ffn = spec.expert_ffn / context.layout().etp;
  b.set_module(Module::experts);
  const TensorId h = grouped(b, "experts_fc1", "experts_fc1_bias", shape, spec.gated ? 2 * ffn : ffn,
                             quantise_rows(b, shape, routed.rows), true, kNoTensor);
  b.set_module(Module::moe_act);
  const TensorId a = activate(b, spec.activation, spec.gated, h, routed.weights);
  Pointwise& activation = std::get<Pointwise>(b.block().forward.back().work);
  if (context.traits().expert_gemm == ExpertGemm::fused_grouped) activation.passes *= 0.25F;
  // The kernel that takes the experts' bias in is a stack's own.
  if (spec.bias && context.traits().fused_clamped_glu) activation.function = Function::none;
  b.set_module(Module::experts);
  return grouped(b, "experts_fc2", "experts_fc2_bias", shape, shape.width, quantise_rows(b, shape, a), false,
                 routed.weights);
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
  const TensorId logits = b.tensor("router_logits", TensorKind::activation, context.wide(), tokens, spec.experts);
  TensorId bias = kNoTensor;
  if (spec.router_bias)
    bias = b.weight("router_bias", 1, spec.experts, {.init = WeightInit::zero, .summed_over_tp = sharded});
  if (context.traits().router_gemm) {
    Op& op = b.add("router",
                   Gemm{.m = tokens,
                        .n = spec.experts,
                        .k = context.model().hidden,
                        .operand = context.storage,
                        .output = context.wide()},
                   {n, w}, {logits}, 3);
    if (bias != kNoTensor) op.reads.push_back(bias);
  }
  const TensorId map = b.tensor("routing_map", TensorKind::activation, context.wide(), tokens, spec.experts);
  b.add("top_k",
        Pointwise{.kind = PointwiseKind::router,
                  .passes = 2,
                  .function = Function::route,
                  .detail = RouterRule{.top_k = static_cast<std::int16_t>(spec.top_k),
                                       .score = spec.router,
                                       .normalised = spec.normalised,
                                       .uniform = !context.traits().router_gemm,
                                       .balanced = context.traits().routing == Routing::contiguous,
                                       .scaling = spec.scaling}},
        {logits}, {map}, kHostRouter);
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
    routed =
        b.linear({.name = "latent_down", .in = context.model().hidden, .out = spec.latent, .on_shard = true}, routed);
  b.set_graphed(context.run.graph.layer);
  // The shared expert is issued between dispatch and the experts, so that its stream can fill the exchange.
  TensorId shared = kNoTensor;
  if (spec.shared_ffn > 0) shared = shared_expert(b, spec, n);
  TensorId y = combine(b, shape, experts(b, shape, dispatch(b, shape, routed, map)), map);
  b.set_module(Module::experts);
  if (spec.latent > 0)
    y = b.linear({.name = "latent_up", .in = spec.latent, .out = context.model().hidden, .on_shard = true}, y);
  if (shared != kNoTensor)
    y = b.pointwise("add_shared", {.kind = PointwiseKind::residual, .function = Function::add}, {y, shared});
  return b.residual(y, x);
}

}  // namespace models
