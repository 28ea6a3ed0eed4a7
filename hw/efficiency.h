#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hw/cluster.h"
#include "hw/dtype.h"
#include "hw/gemm_grid.h"
#include "hw/intervals.h"
#include "hw/node.h"
#include "hw/size_ratios.h"
#include "hw/units.h"

/// What machines really achieve: curves fitted to measured tables and runs, kept apart from datasheet facts. Data,
/// written by calibration/, read by sim/. Formulas and first values: docs/cost_model.md.
namespace hw {

/// What a price rests on, best first: a measured point; what lies between measured points, or a curve borrowed from the
/// nearest GPU or format that has one; a curve fitted to this GPU's operator table; a factor fitted to step times; a
/// fraction of the datasheet.
enum class Origin { measured, interpolated, curve, runs, roofline };
inline constexpr int kOrigins = 5;

/// t = (overhead + ((s 2mnk/rate)^p + (bytes/bandwidth)^p)^(1/p)) * grid, s = 1 + padding * (rows and columns that
/// tiles add) + wave * (SMs that the last wave of tiles leaves idle): docs/cost_model.md, GEMM.
struct GemmCurve {
  FlopsPerSecond rate;
  BytesPerSecond bandwidth;
  Seconds overhead;
  double exponent = 2;
  Origin origin = Origin::roofline;
  double padding = 0, wave = 0;
  int sm_count = 1;
  std::shared_ptr<const GemmGrid> grid = nullptr;  ///< none: 1
};

/// t = flops * (1 + ramp / keys) * (1 + droop * log2(keys / 8192), from there on) * (1 + wave * idle) / rate
///     + Efficiency::attention_overhead; idle: share of SM time that the last wave of tiles wastes.
struct AttentionCurve {
  FlopsPerSecond rate;
  double ramp = 0;  ///< tokens
  Origin origin = Origin::roofline;
  double droop = 0, wave = 0;
  int tile = 128;  ///< rows of q (backward: of k) that one SM works on
};
/// mla: qk_dim != v_dim (192 and 128).
struct AttentionCurves {
  AttentionCurve causal_forward, causal_backward, full_forward, full_backward, mla_forward, mla_backward;
  AttentionCurve mla_full_forward, mla_full_backward;
};

/// t = (latency + f * payload / bandwidth + slope * sqrt(f * payload)) * ratios(f * payload), f = bytes sent per byte
/// of payload.
struct CollectiveCurve {
  Seconds latency;
  BytesPerSecond bandwidth;
  double slope = 0;  ///< seconds per sqrt(byte)
  Origin origin = Origin::roofline;
  SizeRatios ratios = {};
};
/// By models::CollectiveKind.
using CollectiveCurves = std::array<CollectiveCurve, 5>;

/// What one software stack needs of memory and host beyond what its program counts.
struct StackEfficiency {
  std::string stack;     ///< name of its description
  double pointwise = 1;  ///< achieved share of HBM bandwidth relative to Efficiency::pointwise_forward and _backward
  double host = 1;       ///< host time per op relative to Traits::host_op_us
};

/// Everything that sim/ believes about one cluster. Fractions are of the datasheet figure.
struct Efficiency {
  std::string profile, date;  ///< which fitted file, when

  // Device
  std::array<GemmCurve, kDTypes> gemm{};             ///< indexed by DType; every rate > 0
  std::array<AttentionCurves, kDTypes> attention{};  ///< fused kernels; every rate > 0
  AttentionCurves flash2;                            ///< FlashAttention 2 and SDPA, 16-bit
  Seconds attention_overhead;
  double head64_forward = 1, head64_backward = 1;  ///< rate at head dim 64 relative to 128
  double sustained = 1;                            ///< math rate over minutes against the tables' bursts (power limit)
  double input_grad_rate = 1, weight_grad_rate = 1;  ///< GEMM rates relative to forward
  double grouped_rate = 1;                           ///< grouped GEMM relative to a dense GEMM of all its rows
  double fused_grouped_rate = 1;                     ///< likewise with activation and casts inside
  double grouped_overhead = 1;  ///< share of a GEMM's own overhead that each further group of a grouped one has
  double gmm_rate = 1, torch_grouped_rate = 1;  ///< of other grouped kernels, over grouped_rate
  double dtensor_host_factor = 1;               ///< host time of an op under DTensor
  double grouped_extra_rows = 0;      ///< rows that a group of a grouped GEMM costs beyond its own: its last tile
  double grouped_quantised_rate = 1;  ///< grouped GEMM in 8 bits and below against its dense curve, relative to bf16
  double loop_rate = 1;               ///< one GEMM after another, relative to each alone
  double window_rate = 1;             ///< sliding-window attention relative to the causal curve's rate
  double window_extra_keys = 0;     ///< keys a query costs beyond those it sees: partly masked tiles, pipeline filling
  double fused_attention_rate = 1;  ///< fused attention in a training step relative to its table
  double flash2_rate = 1;           ///< likewise
  double flex_rate = 1;             ///< FlexAttention relative to flash2
  double triton_rate = 1;           ///< the first FlashAttention's Triton kernel relative to flash2
  std::array<double, 20> pointwise_forward{}, pointwise_backward{};  ///< of HBM bandwidth, by PointwiseKind
  Origin pointwise_origin = Origin::roofline;
  Bytes row_overhead;              ///< what a routed row costs beyond its own bytes: indices, weights, short copies
  Seconds pointwise_overhead;      ///< of one memory-bound kernel
  double unfused_softmax = 1;      ///< of HBM bandwidth, softmax and masks of unfused attention
  FlopsPerSecond scan_rate;        ///< Mamba-2 SSD
  double scan_bandwidth = 1;       ///< of HBM bandwidth
  double optimizer_bandwidth = 1;  ///< of HBM bandwidth
  Seconds kernel_gap;              ///< between dependent kernels

  // Links
  CollectiveCurves nvlink_two{}, nvlink_four{};  ///< inside an NVLink domain, 2 and 3-4 ranks
  CollectiveCurves nvlink{};                     ///< 5 ranks and more; latency as of 8 ranks
  double hierarchy_exposed = 0;                  ///< share of the shorter of NVLink and NIC part that is not hidden
  double nvlink_rate = 1;                        ///< collectives in a training step relative to their table
  double nic_fraction = 1;                       ///< achieved of the NIC's datasheet rate
  Seconds nic_latency;                           ///< per collective step across nodes
  BytesPerSecond dispatch_nvlink;                ///< DeepEP, HybridEP inside a domain, own rank's copies not counted
  double dispatch_nic_fraction = 1;              ///< of the NIC's rate, own node's copies not counted
  Seconds dispatch_latency;                      ///< of one dispatch or combine
  double all_to_all_time = 1;                    ///< NCCL expert all-to-all: measured over its curve (uneven sizes)
  Seconds send_latency;
  double send_fraction = 1;    ///< of NVLink or NIC rate, one pair sending
  double nvlink_sm_share = 0;  ///< slowdown of compute beside NVLink traffic: 1 / (1 - share)
  double nic_sm_share = 0;
  double host_link_fraction = 1;

  // Host and step
  double grace_host_factor = 1;   ///< host time per op relative to x86
  double merged_host_factor = 1;  ///< host time per op while forward and backward of two microbatches are interleaved
  double moe_host_factor = 1;     ///< host time per op of routing, dispatch and experts relative to others
  double launch_host_factor = 1;  ///< host time of one more kernel launch inside a framework op, relative to an op
  double host_op_factor = 1;      ///< multiplies Traits::host_op_us
  Seconds graph_launch;           ///< replay of one captured piece
  Seconds sync;                   ///< round trip of a device synchronisation
  Seconds step_constant;          ///< per step outside the program: data, logging, all-reduced loss
  double straggler_slope = 0;     ///< step time grows by slope * log2(nodes)
  std::vector<StackEfficiency> stacks;
  std::shared_ptr<const Intervals> intervals;  ///< never null in a parsed profile
};

/// The part of a profile (calibration/profiles/*.json) that holds for `cluster`: its own curves by name where the
/// profile has them, else fractions of the datasheet (Origin::roofline). A variant takes the curves of the machine that
/// it is one of, scaled (hw/variant.h); of another architecture it takes none. Throws InputError.
Efficiency parse_efficiency(const Node& profile, const Cluster& cluster);

/// With what `stack` needs applied; unchanged where the profile does not know it.
Efficiency on_stack(const Efficiency& efficiency, std::string_view stack);

}  // namespace hw
