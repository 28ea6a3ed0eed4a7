// Prices of compute ops against published operator tables and hand-worked cases.
#include "sim/cost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include "sim/attention_cost.h"
#include "sim/gemm_cost.h"
#include "sim/pointwise_cost.h"
#include "tests/sim/machine.h"

namespace {

using hw::DType;
using models::AttentionBackend;
using models::Block;
using models::GemmRole;
using models::Mask;
using models::Op;

const std::vector<std::string> kMachines = {"a100-40g", "a100-80g", "h100",  "h200", "h800",
                                            "b200",     "b300",     "gb200", "gb300"};

Op op_of(models::Work work) {
  Op op;
  op.work = work;
  return op;
}

sim::Price price(const Machine& machine, models::Work work) {
  const models::StepProgram program;
  return sim::CostModel(program, machine.cluster, machine.efficiency).price(Block{}, op_of(work));
}

double tflops(const Machine& machine, models::Work work) {
  const Op op = op_of(work);
  return models::op_size(Block{}, op).flops.value / price(machine, work).time.value / 1e12;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

models::Gemm cube(std::int64_t n, DType operand) { return {.m = n, .n = n, .k = n, .operand = operand}; }

// TFLOP/s at 2048, 4096, 8192, 16384 cubed. bf16: median of four collections of cuBLAS; fp8: per tensor, separately
// timed quantise kernels subtracted. Source: ai-dynamo/aiconfigurator@095f58a51c4c, operator tables.
struct GemmRow {
  const char* system;
  DType dtype;
  double measured[4];  // 0: not in the table
};
constexpr GemmRow kGemmTable[] = {
    {"a100-80g", DType::bf16, {158, 259, 260, 0}},    {"h100", DType::bf16, {691, 770, 732, 690}},
    {"h200", DType::bf16, {695, 780, 731, 684}},      {"b200", DType::bf16, {1206, 1399, 1557, 1494}},
    {"b300", DType::bf16, {1346, 1511, 1586, 1545}},  {"gb200", DType::bf16, {1285, 1589, 1588, 1674}},
    {"gb300", DType::bf16, {1321, 1824, 1897, 1910}}, {"h100", DType::fp8, {1037, 1296, 1553, 1449}},
    {"b200", DType::fp8, {1909, 2532, 2952, 3108}},   {"gb200", DType::fp8, {1700, 2692, 2802, 3553}},
    {"gb300", DType::fp8, {1778, 3004, 3561, 3901}},
};

TEST(GemmCost, FollowsTheMeasuredTable) {
  std::vector<double> errors;
  for (const GemmRow& row : kGemmTable) {
    const Machine machine = burst_machine(row.system);
    for (int i = 0; i < 4; ++i) {
      if (row.measured[i] == 0) continue;
      const double predicted = tflops(machine, cube(2048LL << i, row.dtype));
      errors.push_back(std::abs(predicted / row.measured[i] - 1));
      // The table itself repeats to 4-20 % (p90) between collections.
      // The A100 curve misses its smallest cube (one collection only) by 40 %.
      const bool outlier = row.system == std::string("a100-80g") && i == 0;
      EXPECT_NEAR(predicted / row.measured[i], 1, outlier ? 0.41 : 0.22)
          << row.system << " " << hw::name(row.dtype) << " " << i;
    }
  }
  RecordProperty("median_error_permille", static_cast<int>(1000 * median(errors)));
  EXPECT_LT(median(errors), 0.06);
}

// k-scan at m = n = 8192, bf16. Source as above.
TEST(GemmCost, FallsOffWithSmallK) {
  struct Row {
    const char* system;
    double measured[5];
  };
  constexpr Row kRows[] = {{"gb300", {1127, 1583, 1814, 1904, 1897}},
                           {"b200", {981, 1299, 1505, 1575, 1557}},
                           {"h100", {507, 617, 705, 745, 732}}};
  constexpr std::int64_t kK[] = {256, 512, 1024, 2048, 8192};
  for (const Row& row : kRows) {
    const Machine machine = burst_machine(row.system);
    for (int i = 0; i < 5; ++i) {
      const double predicted = tflops(machine, models::Gemm{.m = 8192, .n = 8192, .k = kK[i]});
      EXPECT_NEAR(predicted / row.measured[i], 1, 0.13) << row.system << " k " << kK[i];
    }
  }
}

// Sustained over 10,000 warm-ups: H100 fp8 8192^3 1290 TFLOP/s, GB200 2877. Source: Azure AI-benchmarking-guide,
// Azure_Results. Its fp4 GEMM (cuBLASLt, 7536) is not the one of the nvfp4 table, which reaches 4434 less its cast.
TEST(GemmCost, SustainedRates) {
  Machine h100 = burst_machine("h100");
  h100.efficiency.sustained = 0.92;
  EXPECT_NEAR(tflops(h100, cube(8192, DType::fp8)) / 1290, 1, 0.1);
  Machine gb200 = burst_machine("gb200");
  gb200.efficiency.sustained = 0.95;
  EXPECT_NEAR(tflops(gb200, cube(8192, DType::fp8)) / 2877, 1, 0.1);
}

// By hand: rate 1e15, bandwidth 1e12, exponent 2; 3e12 FLOPs (3 ms) and 4e9 bytes (4 ms) give sqrt(9 + 16) = 5 ms.
TEST(GemmCost, NormOfMathAndMemory) {
  const hw::GemmCurve curve{.rate = {1e15}, .bandwidth = {1e12}, .overhead = {1e-3}, .exponent = 2};
  EXPECT_NEAR(sim::gemm_time(curve, {3e12}, {4e9}, 1).value, 6e-3, 1e-12);
  EXPECT_NEAR(sim::gemm_time(curve, {1.5e12}, {4e9}, 0.5).value, 6e-3, 1e-12);  // half the rate
  EXPECT_NEAR(sim::gemm_time(curve, {0}, {4e9}, 1).value, 5e-3, 1e-12);
  EXPECT_NEAR(sim::gemm_time(curve, {0}, {0}, 1).value, 1e-3, 1e-12);
}

TEST(GemmCost, RolesAndFormatsWithoutCurves) {
  Machine machine = burst_machine("h100");
  machine.efficiency.weight_grad_rate = 0.8;
  const auto forward = price(machine, cube(8192, DType::bf16));
  models::Gemm wgrad = cube(8192, DType::bf16);
  wgrad.role = GemmRole::weight_grad;
  EXPECT_NEAR(price(machine, wgrad).time / forward.time, 1.25, 0.01);
  EXPECT_EQ(forward.origin, hw::Origin::interpolated);
  EXPECT_EQ(price(machine, cube(128, DType::bf16)).origin, hw::Origin::curve);  // smaller than the grid
  // TF32: half of bf16's peak, no curve.
  const auto tf32 = price(machine, cube(8192, DType::fp32));
  EXPECT_EQ(tf32.origin, hw::Origin::roofline);
  EXPECT_NEAR(tf32.time / forward.time, 2, 0.05);
  // The GPU has no fp4 path: priced as bf16, and said so.
  EXPECT_EQ(price(machine, cube(8192, DType::nvfp4)).origin, hw::Origin::roofline);
}

// DeepGEMM README (deepseek-ai/DeepGEMM@327ec92f6977) on H800: grouped contiguous 4 x 8192 rows 1346 (n 4096, k 7168)
// and 1214 TFLOP/s (n 7168, k 2048). It is a better kernel than the frameworks' grouped GEMM that `grouped_rate`
// stands for: compared at rate 1.
TEST(GroupedGemmCost, DeepGemmTable) {
  Machine machine = burst_machine("h800");
  machine.efficiency.grouped_rate = 1;
  const models::GroupedGemm wide{.groups = 4, .rows = 32768, .n = 4096, .k = 7168, .operand = DType::fp8_block};
  const models::GroupedGemm narrow{.groups = 4, .rows = 32768, .n = 7168, .k = 2048, .operand = DType::fp8_block};
  EXPECT_NEAR(tflops(machine, wide) / 1346, 1, 0.12);
  EXPECT_NEAR(tflops(machine, narrow) / 1214, 1, 0.12);
}

// Groups of few rows suffer: TensorRT-LLM fused MoE on GB300 bf16 reaches 381 of 1843 TFLOP/s at 64-256 rows a group.
TEST(GroupedGemmCost, FewRowsAGroup) {
  const Machine machine = burst_machine("gb300");
  const auto rate = [&](std::int64_t rows) {
    return tflops(machine, models::GroupedGemm{.groups = 32, .rows = 32 * rows, .n = 4096, .k = 7168});
  };
  EXPECT_LT(rate(128), 0.45 * rate(8192));
  EXPECT_GT(rate(2048), 0.85 * rate(8192));
  EXPECT_LT(rate(40), rate(128));
}

// A kernel per expert has a GEMM's overhead per expert; torch's one kernel has it once.
TEST(GroupedGemmCost, AKernelPerExpertHasItsOverheadEach) {
  const Machine machine = burst_machine("b200");
  models::GroupedGemm work{.groups = 16, .rows = 32768, .n = 4096, .k = 2048};
  work.kernel = models::ExpertGemm::torch_grouped;
  const hw::Seconds one_kernel = price(machine, work).time;
  const hw::Seconds overhead = machine.efficiency.gemm[static_cast<std::size_t>(DType::bf16)].overhead;
  for (const models::ExpertGemm kernel : {models::ExpertGemm::grouped, models::ExpertGemm::gmm}) {
    work.kernel = kernel;
    EXPECT_NEAR((price(machine, work).time - one_kernel).value, 15 * overhead.value, 1e-12);
  }
}

TEST(GroupedGemmCost, LoopIsOneGemmAfterAnother) {
  const Machine machine = burst_machine("h100");
  models::GroupedGemm work{.groups = 8,
                           .rows = 8 * 4096,
                           .n = 4096,
                           .k = 4096,
                           .role = GemmRole::weight_grad,
                           .kernel = models::ExpertGemm::loop};
  const models::Gemm one{.m = 4096, .n = 4096, .k = 4096, .role = GemmRole::weight_grad};
  EXPECT_NEAR(price(machine, work).time / (8.0 * price(machine, one).time), 1, 1e-9);
}

// TFLOP/s (causal FLOPs halved) at S = 2k, 4k, 8k, 16k, 32k; 64 heads, 8 kv heads, d 128; batch 2 (H200: 1). Source:
// NVIDIA/cudnn-frontend@3929da2ef4c1, benchmark/sdpa_benchmark_training, llama3.1 rows.
struct AttentionRow {
  const char* system;
  DType dtype;
  Mask mask;
  bool backward;
  double measured[5];
};
constexpr AttentionRow kAttentionTable[] = {
    {"gb300", DType::bf16, Mask::causal, false, {1373, 1703, 1856, 1915, 1953}},
    {"gb300", DType::bf16, Mask::causal, true, {967, 1248, 1435, 1507, 1490}},
    {"gb200", DType::bf16, Mask::causal, false, {1097, 1408, 1574, 1708, 1622}},
    {"gb200", DType::bf16, Mask::causal, true, {885, 1148, 1332, 1328, 1226}},
    {"gb300", DType::bf16, Mask::full, false, {1805, 1900, 2017, 2014, 1836}},
    {"gb300", DType::bf16, Mask::full, true, {1213, 1429, 1531, 1536, 1427}},
    {"gb200", DType::bf16, Mask::full, false, {1433, 1599, 1771, 1697, 1634}},
    {"gb200", DType::bf16, Mask::full, true, {1124, 1350, 1404, 1374, 1262}},
    {"h200", DType::bf16, Mask::causal, false, {484, 591, 644, 673, 688}},
    {"h200", DType::bf16, Mask::causal, true, {370, 474, 541, 579, 581}},
    {"gb300", DType::fp8, Mask::causal, false, {1954, 2532, 2897, 3054, 3108}},
    {"gb300", DType::fp8, Mask::causal, true, {944, 1396, 1781, 2035, 2128}},
    {"gb200", DType::fp8, Mask::causal, false, {1420, 1805, 2047, 2154, 2197}},
    {"gb200", DType::fp8, Mask::causal, true, {831, 1178, 1454, 1632, 1687}},
};

TEST(AttentionCost, FollowsTheMeasuredTable) {
  std::vector<double> errors;
  for (const AttentionRow& row : kAttentionTable) {
    const Machine machine = burst_machine(row.system);
    for (int i = 0; i < 5; ++i) {
      const std::int64_t s = 2048LL << i;
      const models::Attention work{.batch = row.system == std::string("h200") ? 1 : 2,
                                   .queries = s,
                                   .keys = s,
                                   .heads = 64,
                                   .kv_heads = 8,
                                   .qk_dim = 128,
                                   .v_dim = 128,
                                   .mask = row.mask,
                                   .backward = row.backward,
                                   .operand = row.dtype};
      const double ratio = tflops(machine, work) / row.measured[i];
      errors.push_back(std::abs(ratio - 1));
      EXPECT_NEAR(ratio, 1, 0.15) << row.system << (row.backward ? " bwd " : " fwd ") << hw::name(row.dtype) << " S "
                                  << s;
    }
  }
  RecordProperty("median_error_permille", static_cast<int>(1000 * median(errors)));
  EXPECT_LT(median(errors), 0.06);
}

// d 192/128, 128 heads, causal, 8k: GB300 1825/1291, GB200 1585/1193 TFLOP/s. Source as above.
TEST(AttentionCost, MlaShape) {
  models::Attention work{
      .batch = 2, .queries = 8192, .keys = 8192, .heads = 128, .kv_heads = 128, .qk_dim = 192, .v_dim = 128};
  EXPECT_NEAR(tflops(burst_machine("gb300"), work) / 1825, 1, 0.08);
  EXPECT_NEAR(tflops(burst_machine("gb200"), work) / 1585, 1, 0.08);
  work.backward = true;
  EXPECT_NEAR(tflops(burst_machine("gb300"), work) / 1291, 1, 0.08);
  EXPECT_NEAR(tflops(burst_machine("gb200"), work) / 1193, 1, 0.12);
}

// Sliding window 128, d 64, batch 2, 128 heads on GB200: 210, 414, 822 us at S = 4k, 8k, 16k forward, 465, 911, 1818
// backward. Source as above, gpt_oss rows.
TEST(AttentionCost, SlidingWindow) {
  const Machine machine = burst_machine("gb200");
  constexpr double kForward[] = {210, 414, 822}, kBackward[] = {465, 911, 1818};
  for (int i = 0; i < 3; ++i) {
    models::Attention work{.batch = 2,
                           .queries = 4096LL << i,
                           .keys = 4096LL << i,
                           .heads = 128,
                           .kv_heads = 128,
                           .qk_dim = 64,
                           .v_dim = 64,
                           .window = 128,
                           .mask = Mask::window};
    EXPECT_NEAR(price(machine, work).time.value * 1e6 / kForward[i], 1, 0.2) << i;
    work.backward = true;
    EXPECT_NEAR(price(machine, work).time.value * 1e6 / kBackward[i], 1, 0.2) << i;
  }
}

// The same shapes in fp8 backward: 1731 us at 4k and 6176 us at 8k, as if there was no window. The causal triangle is
// priced, 23 and 31 % short: the share of the rate that head dim 64 reaches is known of 16 bits only.
TEST(AttentionCost, QuantisedBackwardComputesWhatTheWindowHides) {
  const Machine machine = burst_machine("gb200");
  models::Attention work{.batch = 2,
                         .queries = 4096,
                         .keys = 4096,
                         .heads = 128,
                         .kv_heads = 128,
                         .qk_dim = 64,
                         .v_dim = 64,
                         .window = 128,
                         .mask = Mask::window,
                         .backward = true,
                         .operand = DType::fp8};
  const double at_4k = price(machine, work).time.value * 1e6;
  models::Attention causal = work;
  causal.mask = Mask::causal;
  EXPECT_NEAR(at_4k / (price(machine, causal).time.value * 1e6), 1, 0.001);
  work.queries = work.keys = 8192;
  const double at_8k = price(machine, work).time.value * 1e6;
  EXPECT_NEAR(at_4k / 1731, 1, 0.3);
  EXPECT_NEAR(at_8k / 6176, 1, 0.32);
  // Twice, if the window was made use of.
  EXPECT_GT(at_8k / at_4k, 3);
  EXPECT_LT(at_8k / at_4k, 4);
  // Forward kernels skip what the window hides.
  work.backward = false;
  EXPECT_LT(price(machine, work).time.value * 1e6, 0.2 * at_8k);
}

// FlashAttention 2 forward, d 128, TFLOP/s. H100 fp16: causal 260, 319, 335 at 1k, 4k, 16k, full 370 at 16k (arXiv
// 2407.08608); A100 causal 131, 163, 189, 198 at 2k, 4k, 8k, 16k (aiconfigurator@095f58a51c4c, SGLang 0.5.10).
TEST(AttentionCost, FlashAttention2) {
  const auto rate = [](const char* system, std::int64_t s, Mask mask) {
    return tflops(burst_machine(system), models::Attention{.batch = std::max<std::int64_t>(1, 16384 / s),
                                                           .queries = s,
                                                           .keys = s,
                                                           .heads = 96,
                                                           .kv_heads = 96,
                                                           .qk_dim = 128,
                                                           .v_dim = 128,
                                                           .mask = mask,
                                                           .backend = AttentionBackend::flash2});
  };
  EXPECT_NEAR(rate("h100", 1024, Mask::causal) / 260, 1, 0.05);
  EXPECT_NEAR(rate("h100", 4096, Mask::causal) / 319, 1, 0.05);
  EXPECT_NEAR(rate("h100", 16384, Mask::causal) / 335, 1, 0.05);
  EXPECT_NEAR(rate("h100", 16384, Mask::full) / 370, 1, 0.05);
  EXPECT_NEAR(rate("a100-80g", 2048, Mask::causal) / 131, 1, 0.05);
  EXPECT_NEAR(rate("a100-80g", 8192, Mask::causal) / 189, 1, 0.05);
  EXPECT_NEAR(rate("a100-80g", 16384, Mask::causal) / 198, 1, 0.05);
}

// FlashAttention 2 has no fp32 kernels: nothing exceeds the datasheet's tf32 rate of 156 TFLOP/s.
TEST(AttentionCost, Fp32RunsAtItsOwnPeak) {
  const models::Attention work{.batch = 1,
                               .queries = 16384,
                               .keys = 16384,
                               .heads = 32,
                               .kv_heads = 32,
                               .qk_dim = 128,
                               .v_dim = 128,
                               .operand = hw::DType::fp32,
                               .backend = AttentionBackend::flash2};
  EXPECT_LT(tflops(burst_machine("a100-80g"), work), 156);
}

// FlashAttention 3, H100, fp16, d 64 at 16k: causal 473, full 497 TFLOP/s forward (arXiv 2407.08608).
TEST(AttentionCost, HeadDim64IsSlower) {
  models::Attention work{
      .batch = 1, .queries = 16384, .keys = 16384, .heads = 32, .kv_heads = 32, .qk_dim = 64, .v_dim = 64};
  EXPECT_NEAR(tflops(burst_machine("h100"), work) / 473, 1, 0.12);
  work.mask = Mask::full;
  EXPECT_NEAR(tflops(burst_machine("h100"), work) / 497, 1, 0.12);
}

// By hand, A100 80 GB: b 1, 16 heads, S 2048, d 128: scores 16 * 2048^2 * 2 B = 134.2 MB. Softmax and dropout pass over
// them four times at 0.7 of 2.039 TB/s: 376.2 us. Two GEMMs: 34.36 GFLOP (131.2 us at 261.9 TFLOP/s), 2 * 134.2 + 33.6
// MB (154.7 us at 1.952 TB/s); norm of 1.316: 242.5 us. With 2 * 6.35 us and 2 * 1.1 us: 634 us.
TEST(AttentionCost, UnfusedByHand) {
  models::Attention work{.batch = 1,
                         .queries = 2048,
                         .keys = 2048,
                         .heads = 16,
                         .kv_heads = 16,
                         .qk_dim = 128,
                         .v_dim = 128,
                         .backend = AttentionBackend::unfused};
  Machine machine = burst_machine("a100-80g");
  machine.efficiency.gemm[static_cast<std::size_t>(DType::bf16)] = {
      .rate = {261.9e12}, .bandwidth = {1.952e12}, .overhead = {6.35e-6}, .exponent = 1.316};
  machine.efficiency.pointwise_overhead = {1.1e-6};
  const hw::Bytes operands{4.0 * 2048 * 16 * 128 * 2};
  const auto forward = sim::attention_cost(work, {{0}, operands}, machine.cluster, machine.efficiency);
  EXPECT_NEAR(forward.time.value * 1e6, 634, 2);
  work.backward = true;
  const auto backward = sim::attention_cost(work, {{0}, operands}, machine.cluster, machine.efficiency);
  EXPECT_NEAR(backward.time / forward.time, 2, 1e-9);
  EXPECT_EQ(forward.origin, hw::Origin::roofline);
}

// By hand, H100: 1 GB at 0.75 of 3.35 TB/s is 398.0 us, and 1.8 us of launch.
TEST(PointwiseCost, ByHand) {
  const Machine machine = burst_machine("h100");
  const auto norm =
      sim::pointwise_cost({.kind = models::PointwiseKind::norm}, {{0}, {1e9}}, machine.cluster, machine.efficiency);
  EXPECT_NEAR(norm.time.value * 1e6, 399.8, 0.1);
  EXPECT_NEAR(norm.ideal.value * 1e6, 298.5, 0.1);
  EXPECT_EQ(norm.origin, hw::Origin::roofline);
  const auto twice = sim::pointwise_cost({.kind = models::PointwiseKind::norm, .passes = 2}, {{0}, {1e9}},
                                         machine.cluster, machine.efficiency);
  EXPECT_NEAR((twice.time - norm.time).value * 1e6, 398.0, 0.1);
  // A routed row of 2 KiB costs 512 bytes more, a quarter.
  const auto routed = sim::pointwise_cost({.kind = models::PointwiseKind::norm, .row_bytes = 2048}, {{0}, {1e9}},
                                          machine.cluster, machine.efficiency);
  EXPECT_NEAR((routed.time - norm.time).value * 1e6, 99.5, 0.1);
}

// By hand, H100: 75 TFLOP/s and 0.75 of 3.35 TB/s. 7.5e10 FLOPs take 1 ms; 3 * 1e8 bytes take 119.4 us; 1.8 us of
// launch.
TEST(ScanCost, LargerOfMathAndMemory) {
  const Machine machine = burst_machine("h100");
  EXPECT_NEAR(sim::scan_cost({{7.5e10}, {1e8}}, machine.cluster, machine.efficiency).time.value, 1.0018e-3, 1e-6);
  EXPECT_NEAR(sim::scan_cost({{7.5e8}, {1e8}}, machine.cluster, machine.efficiency).time.value, 121.2e-6, 1e-6);
}

// By hand: 1 GB over 0.87 of 63 GB/s is 18.24 ms; over 0.44 of 450 GB/s (GB200) 5.05 ms.
TEST(HostCost, CopiesAndLaunches) {
  EXPECT_NEAR(price(burst_machine("h100"), models::HostCopy{.payload = {1e9}}).time.value, 18.24e-3, 1e-5);
  EXPECT_NEAR(price(burst_machine("gb200"), models::HostCopy{.payload = {1e9}}).time.value, 5.05e-3, 1e-5);
  EXPECT_NEAR(price(burst_machine("h100"), models::HostSync{}).time.value, 50e-6, 1e-9);

  models::StepProgram program;
  program.traits.host_op_us = 14;
  Op op = op_of(models::Gemm{});
  op.host_ops = 2;
  const Machine h100 = burst_machine("h100"), gb200 = burst_machine("gb200");
  EXPECT_NEAR(sim::CostModel(program, h100.cluster, h100.efficiency).host_time(op).value, 28e-6, 1e-12);
  EXPECT_NEAR(sim::CostModel(program, gb200.cluster, gb200.efficiency).host_time(op).value, 33.6e-6, 1e-12);
  op.host_launches = 10;  // at 0.35 of an op each
  EXPECT_NEAR(sim::CostModel(program, h100.cluster, h100.efficiency).host_time(op).value, 77e-6, 1e-12);

  // Under DTensor twice as long, unless the layer is compiled or nothing is sharded.
  const auto under_dtensor = [&](int tp, bool compiled) {
    program.traits.dtensor = true;
    program.traits.compiled = compiled;
    program.layout.tp = tp;
    return sim::CostModel(program, h100.cluster, h100.efficiency).host_time(op).value;
  };
  EXPECT_NEAR(under_dtensor(2, false), 154e-6, 1e-12);
  EXPECT_NEAR(under_dtensor(2, true), 77e-6, 1e-12);
  EXPECT_NEAR(under_dtensor(1, false), 77e-6, 1e-12);
}

// No op is faster than its datasheet allows, and none gets faster by growing.
TEST(EveryCost, GrowsAndStaysAboveIdeal) {
  for (const std::string& name : kMachines) {
    Machine machine = burst_machine(name);
    machine.efficiency.sustained = 1.06;  // the highest that was fitted
    for (const DType dtype :
         {DType::fp32, DType::bf16, DType::fp16, DType::fp8, DType::fp8_block, DType::mxfp8, DType::nvfp4}) {
      std::vector<hw::Seconds> last(5, hw::Seconds{0});
      for (std::int64_t n = 256; n <= 16384; n *= 2) {
        const models::Work works[] = {cube(n, dtype),
                                      models::GroupedGemm{.groups = 4, .rows = 4 * n, .n = n, .k = n, .operand = dtype},
                                      models::Attention{.batch = 1,
                                                        .queries = n,
                                                        .keys = n,
                                                        .heads = 64,
                                                        .kv_heads = 8,
                                                        .qk_dim = 128,
                                                        .v_dim = 128,
                                                        .operand = dtype},
                                      models::Attention{.batch = 1,
                                                        .queries = n,
                                                        .keys = n,
                                                        .heads = 64,
                                                        .kv_heads = 8,
                                                        .qk_dim = 192,
                                                        .v_dim = 128,
                                                        .backward = true,
                                                        .operand = dtype},
                                      models::Attention{.batch = 1,
                                                        .queries = n,
                                                        .keys = n,
                                                        .heads = 64,
                                                        .kv_heads = 8,
                                                        .qk_dim = 64,
                                                        .v_dim = 64,
                                                        .operand = dtype,
                                                        .backend = AttentionBackend::unfused}};
        for (std::size_t i = 0; i < 5; ++i) {
          const sim::Price found = price(machine, works[i]);
          EXPECT_GE(found.time, found.ideal) << name << " " << hw::name(dtype) << " " << n << " work " << i;
          EXPECT_GT(found.time, last[i]) << name << " " << hw::name(dtype) << " " << n << " work " << i;
          last[i] = found.time;
        }
      }
    }
  }
}

TEST(EveryCost, IsPricedQuickly) {
  const Machine machine = burst_machine("gb200");
  const models::StepProgram program;
  const sim::CostModel cost(program, machine.cluster, machine.efficiency);
  const Block block;
  std::vector<Op> ops;
  for (std::int64_t i = 1; i <= 1000; ++i) {
    ops.push_back(op_of(models::Gemm{.m = 1024 * i, .n = 4096, .k = 4096}));
    ops.push_back(op_of(models::Pointwise{}));
    ops.push_back(
        op_of(models::Attention{.queries = i, .keys = i, .heads = 8, .kv_heads = 8, .qk_dim = 64, .v_dim = 64}));
  }
  double sum = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int repeat = 0; repeat < 20; ++repeat)
    for (const Op& op : ops) sum += cost.price(block, op).time.value;
  const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
  const double each = spent.count() / (20.0 * static_cast<double>(ops.size()));
  RecordProperty("ns_per_op", static_cast<int>(each));
  EXPECT_GT(sum, 0);
  EXPECT_LT(each, 2000);  // goal 60 ns in release; sanitizers and busy machines are slower
}

}  // namespace
