#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "hw/dtype.h"
#include "hw/units.h"
#include "models/inline_vector.h"
#include "models/layout.h"
#include "models/model.h"
#include "models/recipe.h"

/// A training step as a program: what the simulator prices and the executor runs.
///
/// It is hierarchical. A `Block` (an attention + MLP layer, the embedding, the head, ...) is a small graph of ops over
/// named tensors of one microbatch, already sharded for the layout. Distinct blocks are few; a `ChunkProgram` (virtual
/// stage) lists blocks; the pipeline schedule (models/schedule.h) lists chunks times microbatches. The program's size
/// depends neither on the number of GPUs nor on the number of layers.
namespace models {

/// Ops of one stream run in order; streams run beside each other. `side` is a second compute stream.
enum class Stream : std::uint8_t { compute, side, tp_comm, cp_comm, ep_comm, pp_comm, dp_comm, copy, host };
inline constexpr int kStreams = 9;

enum class TensorKind : std::uint8_t {
  input,            ///< the block's input: [tokens, hidden], the previous block's output
  data,             ///< of the batch: token ids and labels
  activation,       ///< made in the forward pass of this microbatch
  gradient,         ///< of an activation
  weight,           ///< a parameter (or its gathered or quantised copy)
  weight_gradient,  ///< accumulated over microbatches
};

using TensorId = std::int16_t;
inline constexpr TensorId kNoTensor = -1;

/// Rows of a tensor that holds tokens of experts: as many as the router sends, `Tensor::rows` if it is balanced.
enum class RoutedRows : std::uint8_t {
  none,      ///< exactly Tensor::rows
  received,  ///< that arrive at this rank
  gathered,  ///< and at its ETP peers
};

/// A tensor as one rank holds it. shape: [rows, columns], sharded; elements = rows * columns.
struct Tensor {
  const char* name = "";  ///< static text; unique within the block together with `gradient_of`
  TensorKind kind = TensorKind::activation;
  hw::DType dtype = hw::DType::bf16;
  std::int64_t rows = 0, columns = 0;
  TensorId gradient_of = kNoTensor;  ///< the activation or weight whose gradient this is
  bool kept = false;                 ///< lives from forward to backward
  bool offloaded = false;            ///< waits in host memory meanwhile
  RoutedRows routed = RoutedRows::none;
  bool frozen = false;              ///< a weight that is not trained: no gradient
  std::int64_t shared_columns = 0;  ///< columns that lie in another tensor's memory (v behind a norm of q and k only)

  double elements() const { return static_cast<double>(rows) * static_cast<double>(columns); }
  hw::Bytes bytes() const { return {elements() * hw::bytes_per_element(dtype)}; }
  /// What it adds to the memory in use: bytes() less the shared columns.
  hw::Bytes stored_bytes() const {
    return {static_cast<double>(rows) * static_cast<double>(columns - shared_columns) * hw::bytes_per_element(dtype)};
  }
};

// ---- Work: what an op does. One alternative per kind of kernel. ----

enum class GemmRole : std::uint8_t { forward, input_grad, weight_grad };

/// 2mnk FLOPs over a weight w [out, in]; `operand` is the format of both inputs.
///   forward      {x [m, k], w, bias?} -> {y}      y[:, first ...] (n columns) = x * w[first ..., :]^T (+ bias)
///   input_grad   {dy, w} -> {dx [m, n]}           dx = dy[:, first ...] (k columns) * w[first ..., :]
///   weight_grad  {x, dy} -> {dw, dbias?}          dw[first ..., :] (m rows) += dy[:, first ...]^T * x, k = tokens
/// A row-parallel linear's bias is added on the first TP rank only, so that the sum over TP has it once.
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  hw::DType operand = hw::DType::bf16, output = hw::DType::bf16;
  GemmRole role = GemmRole::forward;
  std::int64_t first = 0;     ///< first output column, where one weight is used by several launches
  bool row_parallel = false;  ///< its result is summed over TP
  double scale = 1;           ///< of the result (LoRA's alpha / rank)
};

/// `groups` GEMMs of one shape class in one launch (the rank's experts): `rows` in all, each group its share. Operands
/// as Gemm's, w [groups * out, in].
struct GroupedGemm {
  int groups = 1;
  std::int64_t rows = 0, n = 0, k = 0;
  hw::DType operand = hw::DType::bf16, output = hw::DType::bf16;
  GemmRole role = GemmRole::forward;
  ExpertGemm kernel = ExpertGemm::grouped;
};

enum class Mask : std::uint8_t { full, causal, window };

/// softmax(q k^T) v, tiled, without an S x S matrix in memory (unless backend is `unfused`).
///   q [batch * queries, heads * qk_dim], k [batch * keys, kv_heads * qk_dim], v [batch * keys, kv_heads * v_dim]
/// Causal: query i of the last `queries` positions sees keys up to its own; window: the last `window` of them.
struct Attention {
  std::int64_t batch = 1, queries = 0, keys = 0;
  int heads = 0, kv_heads = 0, qk_dim = 0, v_dim = 0;
  int window = 0;
  Mask mask = Mask::causal;
  bool causal = true;  ///< `mask` is what it costs, which differs for the parts of a ring
  bool backward = false;
  hw::DType operand = hw::DType::bf16;
  AttentionBackend backend = AttentionBackend::fused;
  bool sinks = false;  ///< the last operand read is a logit per head for no key (GPT-OSS)
  /// Context parallelism: the keys are those of the rank `ring_step` before this one, or of all ranks.
  std::int8_t ring_step = 0;
  bool all_keys = false, all_queries = false;

  /// Keys that a query sees, on average.
  double mean_keys() const;
};

/// Mamba-2 state-space scan over chunks (arXiv 2405.21060, listing 1).
///   forward   {x | B | C side by side, t, w} -> {y}; t has `heads` columns of raw step widths from `first_step` on
///   backward  {dy, x | B | C, t, w} -> {dx | dB | dC, the same columns of dt, dw}
///   w [3, heads]: rows A_log, D, dt_bias
struct Scan {
  std::int64_t tokens = 0;
  int heads = 0, head_dim = 0, state = 0, groups = 0;
  std::int64_t first_step = 0;
  bool backward = false;
};

/// Memory-bound kernels: they cost the bytes of their operands, times `passes` where a kernel reads its operands
/// again.
enum class PointwiseKind : std::uint8_t {
  norm,
  residual,
  activation,
  rope,
  qk_norm,
  cast,
  router,
  permute,
  unpermute,
  embedding,
  loss,
  bias,
  gradient_add,
  modulate,
  gated_residual,
  conv,
  softmax,
  dropout,
  scale,
  other
};
inline constexpr int kPointwiseKinds = 20;

/// What a memory-bound kernel computes. Operands of the forward and of the backward kernel; weights come last, their
/// gradients are added up. `HeadColumns` says which columns the kernels of attention work on.
enum class Function : std::uint8_t {
  none,           ///< priced only: not run by the executor
  copy,           ///< {x} -> {y}
  add,            ///< {a, b} -> {a + b}; its gradient is its result's
  sum_gradients,  ///< {da, db} -> {da + db}
  norm,           ///< {x, w} -> {y}; {dy, x, w} -> {dx, dw}. w: scale, and with Norm::layer shift, [1 or 2, columns]
  gated_norm,     ///< {x, z, w} -> {norm(x * silu(z))} of each group; {dy, x, z, w} -> {dx, dz, dw}; z: `part` of its
                  ///< tensor
  conv,        ///< {x, w} -> {silu(x * w)} causal; {dy, x, w} -> {dx, dw}; x: `part` of its tensor. w: taps, then bias
  head_norm,   ///< {x, w} -> {y}: RMS norm of each head of q (w row 0) and k (row 1), the rest as it is
  rotate,      ///< {x} -> {y}: rotary embedding of q's and k's heads; backward turns back
  mla_keys,    ///< {kv, kv_low} -> {k heads (nope | rope) | v heads}; {dy} -> {dkv, dkv_low}
  activation,  ///< {h, row weights?} -> {weight a}; {da, h, weights} -> {dh, dweights}
  add_positions,  ///< {x, table} -> {y}; {dy} -> {dtable}
  embedding,      ///< {ids, table} -> {x}, 0 where another TP rank has the row; {dx, ids} -> {dtable}
  route,      ///< {logits} -> {map [tokens, experts]: weights of the chosen, else 0}; {dmap, logits, map} -> {dlogits}
  permute,    ///< {x, map} -> {rows of x by expert, their weights}; {dy, dweights, map} -> {dx, dmap}
  unpermute,  ///< {y, map} -> {sums of each token's rows}; {dz, map} -> {dy}
  sort_rows,  ///< {y by source and expert, weights} -> {by expert and source}; backward the reverse
  unsort_rows,      ///< {y by expert and source} -> {by source and expert}; backward the reverse
  expert_bias,      ///< {y, row weights?, b [experts, columns]} -> {y + weight b}; {dy, weights, b} -> {dweights?, db}
  concatenate,      ///< {a, b} -> {a | b}; {dy} -> {da, db}
  merge_attention,  ///< {o, lse, o2, lse2} -> {o, lse} of both sets of keys; its gradient is its result's
  add_vectors,      ///< {x, w} -> {y}: w, read as one row, plus x repeated to its length; {dy} -> {dx, dw}
  modulated_norm,   ///< {x, m} -> {norm(x) (1 + scale) + shift}; shift | scale: `part` of m, one row a sequence
  gated_residual,   ///< {h, x, m} -> {x + gate h}; {dy, h, x, m} -> {dh, dm}; gate: `part` of m, one row a sequence
  own_columns,      ///< {dy of gathered columns} -> {dy of this TP rank's}
  add_columns,      ///< {dx, d of its last columns} -> {dx}
  loss_statistics,  ///< {logits, labels} -> {max, sum of exp, label's logit: [rows, 3]}
  loss,             ///< {logits, labels, statistics of all TP ranks} -> {softmax}; {softmax, labels} -> {dlogits}
  flow_loss,        ///< {y, target} -> {mean square of y - target: [rows, 1]}; {y, target} -> {dy}
};

/// Columns of q, k and v heads side by side: `heads` of q, `kv_heads` of k, then what passes through.
struct HeadColumns {
  int heads = 0, kv_heads = 0, head_dim = 0;
  int offset = 0, rotated = 0;  ///< rotary part within a head
  double theta = 0;             ///< base of the rotary frequencies
  bool interleaved = false;     ///< rotary pairs are neighbours, not halves
  int v_dim = 0;                ///< mla_keys: width of a value head
  /// Frames, height and width of what the sequence is: pairs turn with one of the three (0: with the position). Of n
  /// pairs the last n / 3 turn with the column, as many before them with the row, the others with the frame.
  std::array<std::int32_t, 3> grid = {};
};

/// Columns of an operand that an op works on; `count` 0: all.
struct ColumnRange {
  std::int64_t first = 0, count = 0;
};

/// How the chosen experts and their weights follow from the logits.
struct RouterRule {
  std::int16_t top_k = 0;
  Router score = Router::softmax;
  bool normalised = false;
  bool uniform = false;  ///< weights are 1 / top_k: the logits are not even computed
  /// The choice goes round by position, whatever the logits: (position * top_k + j) mod experts.
  bool balanced = false;
  double scaling = 1;
};

struct Pointwise {
  PointwiseKind kind = PointwiseKind::other;
  float passes = 1;
  bool backward = false;
  Function function = Function::none;
  Norm norm = Norm::rms;
  Activation activation = Activation::silu;
  bool gated = false;         ///< activation: x is gate | up
  double epsilon = 0;         ///< of a norm
  bool row_parallel = false;  ///< expert_bias: the result is summed over ETP, whose first rank adds the bias
  float row_bytes = 0;        ///< permute, unpermute: of one row, copied as a whole
  int groups = 1;             ///< gated_norm: of columns with statistics of their own
  std::variant<std::monostate, HeadColumns, ColumnRange, RouterRule> detail = {};  ///< what only some functions have

  const HeadColumns& columns() const { return std::get<HeadColumns>(detail); }
  const ColumnRange& part() const { return std::get<ColumnRange>(detail); }
  const RouterRule& router() const { return std::get<RouterRule>(detail); }
};

enum class CollectiveKind : std::uint8_t { all_reduce, all_gather, reduce_scatter, all_to_all, broadcast };
/// Which ranks take part. Ranks are ordered tp, cp, ep/dp, pp, innermost first, as Megatron and torch meshes do.
enum class GroupKind : std::uint8_t { tp, cp, ep, etp, dp, dp_cp, expert_dp, pp, fsdp, replica };
inline constexpr int kGroups = 10;

/// An all-to-all of [tokens / n, columns] against [tokens, columns / n]: each piece of the columns is divided over the
/// ranks by itself.
struct HeadExchange {
  InlineVector<std::int32_t, 3> pieces = {};  ///< widths on the side that has all columns
  bool to_heads = true;                       ///< from a share of the tokens to a share of the columns; false: back
};

/// One collective, one op per member rank. `payload`: bytes of the whole (gathered or reduced) buffer of one rank:
/// all_gather: what each rank holds afterwards; reduce_scatter, all_reduce: what each rank contributes;
/// all_to_all: what each rank sends, its own share included.
struct Collective {
  CollectiveKind kind = CollectiveKind::all_reduce;
  GroupKind group = GroupKind::tp;
  hw::Bytes payload;
  ColumnRange columns = {};  ///< all_gather: of the operand; all if empty
  HeadExchange heads = {};   ///< all_to_all of tokens against heads
};

/// {x, row weights?} -> {x, row weights} of the rows that arrive. Expert dispatch or combine: `tokens` of this rank,
/// each to `ranks_per_token` distinct ranks of which `nodes_per_token` distinct nodes, `bytes_per_token` a copy. For
/// Dispatcher::all_to_all each of the top_k rows is sent.
struct ExpertExchange {
  std::int64_t tokens = 0;
  double ranks_per_token = 1;  ///< expected distinct EP ranks, own rank included
  double nodes_per_token = 1;  ///< expected distinct NVLink domains, own included
  int rows_per_token = 1;      ///< top_k
  hw::Bytes bytes_per_token;   ///< of one copy
  Dispatcher dispatcher = Dispatcher::all_to_all;
  bool combine = false;
};

/// Point-to-point exchange with the next member of `group` (a ring step, or a pipeline transfer).
struct SendRecv {
  GroupKind group = GroupKind::pp;
  hw::Bytes payload;
  ColumnRange columns = {};  ///< of the operand
  bool backward = false;     ///< to the member before, from the one behind
};

/// Copy between device and host memory.
struct HostCopy {
  hw::Bytes payload;
  bool to_host = true;
};

/// The host waits until the compute stream is empty (token counts, timers).
struct HostSync {};

/// One optimizer step over this rank's parameters: zeroing, norm, clipping, update, cast. `bytes` moved in all.
struct OptimizerStep {
  std::int64_t parameters = 0;  ///< that this rank owns
  hw::Bytes bytes;
  hw::Flops flops;  ///< Muon's Newton-Schulz iterations
};

/// The written tensor is the read one, entering a tensor-parallel region: costs nothing forward; its gradient is
/// all-reduced over tp (`f` of Megatron-LM, arXiv 1909.08053, section 3).
struct TpCopy {};

using Work = std::variant<Gemm, GroupedGemm, Attention, Scan, Pointwise, Collective, ExpertExchange, SendRecv, HostCopy,
                          HostSync, OptimizerStep, TpCopy>;

/// Which part of the model an op belongs to: for breakdowns, recompute and CUDA-graph scopes.
enum class Module : std::uint8_t {
  embedding,
  attention,
  core_attention,
  mla_up_proj,
  mlp,
  mamba,
  layernorm,
  router,
  moe_preprocess,
  experts,
  moe_act,
  shared_expert,
  dispatch,
  head,
  mtp,
  time_text,
  optimizer,
  data_parallel,
  pipeline
};
inline constexpr int kModules = 19;

enum class Pass : std::uint8_t { forward, replay, backward };

/// One launch on one stream. The executor launches it; the simulator prices it.
struct Op {
  const char* name = "";
  Work work;
  Stream stream = Stream::compute;
  Module module = Module::attention;
  Pass pass = Pass::forward;
  bool weight_gradient = false;  ///< may run in the schedule's separate W phase
  bool graphed = false;          ///< captured in a CUDA graph: the host launches the piece, not the op
  /// Pipelined with its producer in `chunks` row blocks: may start when 1/chunks of what it needs is there, and ends
  /// no earlier than 1/chunks of itself after that has ended (userbuffers, async TP). 1 = waits for all.
  std::int8_t chunks = 1;
  float host_ops = 0;  ///< framework ops that the host issues for it (0 inside a CUDA graph)
  float host_launches =
      0;  ///< kernels that one of these framework ops launches beyond the first, in a loop over experts
  InlineVector<TensorId, 8> reads, writes;
  InlineVector<std::int16_t, 6> needs;  ///< indices in the same list of what must finish first, always earlier
};

/// First values of a weight (models/weights.h has the rules).
enum class WeightInit : std::uint8_t { matrix, one, zero, norm_and_shift, scan, conv };

/// Full names (block and weight) of the weights that several blocks use.
inline constexpr const char *kEmbeddingTable = "embedding.embedding", *kHeadLogits = "head.logits";

/// A piece of a weight that is cut by itself (q, k and v; gate and up): `length` rows or columns of the whole weight,
/// made of `units` that are not cut.
struct WeightPart {
  std::int64_t length = 0;
  int units = 1;
};

/// How a rank's part lies in the whole weight: what initialises, saves and loads it in any layout.
struct Weight {
  TensorId tensor = kNoTensor;
  bool cut = false;                        ///< over TP (experts: over ETP)
  bool by_columns = false;                 ///< columns are cut, else rows
  InlineVector<WeightPart, 5> parts = {};  ///< of the cut dimension, in order; of one expert where there are experts
  int experts = 0;  ///< > 0: rows are those of this many experts one after another, divided over EP
  WeightInit init = WeightInit::matrix;
  bool decayed = false;          ///< weight decay applies: operands of matmuls and embedding tables
  bool summed_over_tp = false;   ///< TP ranks see other tokens or heads: their gradients are added up
  const char* shared = nullptr;  ///< full name of the weight that this is another use of (tied embeddings)
};

/// Parameters of one block as this rank holds them before ZeRO/FSDP sharding (after TP, EP).
struct BlockParameters {
  double dense = 0;                                  ///< replicated over dp * cp
  double expert = 0;                                 ///< replicated over expert_dp
  double trainable_dense = 0, trainable_expert = 0;  ///< less under LoRA
  double quantised_dense = 0, quantised_expert = 0;  ///< of them, those with a quantised copy
};

enum class BlockKind : std::uint8_t { embedding, layer, mtp, head };

/// A tensor that one block makes and later ones read beside their input (text and time of a diffusion transformer). Its
/// gradient goes back from block to block, and each adds its part.
struct Carried {
  const char* name = "";                 ///< the same in all blocks
  TensorId tensor = kNoTensor;           ///< of kind `input` where it is read
  TensorId gradient_behind = kNoTensor;  ///< given: of all blocks behind, 0 if none reads it
  TensorId gradient = kNoTensor;         ///< made here
};

struct Block {
  BlockKind kind = BlockKind::layer;
  bool holds_embedding = false;  ///< has a copy of the token table, which is on another pipeline rank
  int layer_kind = -1;           ///< index into Model::kinds
  std::string label;             ///< such as `attention+moe`
  std::vector<Tensor> tensors;
  std::vector<Op> forward;
  std::vector<Op> backward;  ///< replay, input and weight gradients, in launch order
  TensorId input = kNoTensor, output = kNoTensor;
  TensorId input_gradient = kNoTensor, output_gradient = kNoTensor;  ///< of `input`, made here; of `output`, given
  InlineVector<Carried, 3> carried;
  std::vector<Weight> weights;
  BlockParameters parameters;
  std::vector<Op> gather, reduce;         ///< parameter all-gathers and gradient reductions over dp (when: StepProgram)
  hw::Bytes kept;                         ///< activations from forward to backward, per microbatch, on the device
  hw::Bytes offloaded;                    ///< of the kept ones, those that wait in host memory
  hw::Bytes forward_peak, backward_peak;  ///< transient bytes beyond kept ones, at the worst op
  hw::Bytes input_grad_peak;              ///< of a backward pass that leaves what weight gradients read
  /// FSDP that gathers a block when it begins: its whole weights while it runs, and in backward its whole gradients.
  hw::Bytes gathered, whole_gradients;
  hw::Bytes late_gradients;    ///< FSDP: gradients that are there from the block's first backward pass on
  hw::Bytes shared_gradients;  ///< of them, those of other blocks' weights, which stay until those blocks are done
  /// What the weight-gradient ops read, inputs and output gradients: held from input gradients to weight gradients
  /// where a schedule runs them apart (WeightGradStore of arXiv 2401.10241's fork).
  hw::Bytes held_for_weights;
};

/// A run of equal blocks in a chunk.
struct BlockRun {
  std::int16_t block = 0;
  std::int16_t count = 1;
  std::int32_t first_layer = 0;  ///< for names in timelines
};

struct ChunkProgram {
  int stage = 0;  ///< pipeline rank that runs it
  std::vector<BlockRun> blocks;
};

/// When a data-parallel collective of a block runs.
enum class When : std::uint8_t { never, once_a_step, every_microbatch, every_pass };

struct DataParallel {
  When gather = When::never;  ///< every_pass: before forward and again before backward (reshard after forward)
  When reduce = When::never;
  bool gather_overlap = true, reduce_overlap = true;
  bool prefetch = true;
};

/// Sizes of the groups and where they lie on the machine.
struct Group {
  int size = 1;
  int stride = 1;  ///< distance between neighbours in rank order
};

/// Bytes that one pipeline rank holds all the time.
struct StaticMemory {
  hw::Bytes weights, quantised_weights, gradients, optimizer, gathered;  ///< gathered: FSDP buffers in use at once
  /// Gradients appear block by block, in the first backward pass over each (FSDP; Block::late_gradients).
  bool gradients_in_backward = false;
};

struct StageProgram {
  std::vector<int> chunks;    ///< chunk indices of this rank, ascending
  std::vector<Op> optimizer;  ///< at the end of the step, on compute
  StaticMemory memory;
};

struct StepProgram {
  Layout layout;
  Traits traits;
  std::vector<Block> blocks;
  std::vector<ChunkProgram> chunks;  ///< pp * vp
  std::vector<StageProgram> stages;  ///< pp
  std::array<Group, kGroups> groups{};
  DataParallel data_parallel;
  Op send;  ///< pipeline transfer of one microbatch's activations, [tokens, hidden], to the next stage
  bool ends_share_embedding = false;  ///< tied embeddings on two stages: their gradient is all-reduced

  const Group& group(GroupKind kind) const { return groups[static_cast<std::size_t>(kind)]; }
};

/// What an op computes and moves, from its work and operands: FLOPs (recompute counts, causal halves count half) and
/// bytes of device memory touched, or sent for a collective.
struct OpSize {
  hw::Flops flops;
  hw::Bytes bytes;
};
OpSize op_size(const Block& block, const Op& op);

}  // namespace models
