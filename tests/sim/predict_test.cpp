#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "hw/node.h"
#include "models/lower.h"
#include "models/run.h"
#include "models/timeline.h"
#include "sim/chunk_play.h"
#include "sim/prediction.h"

namespace sim {
namespace {

using models::When;

/// 1 ms on tiny_efficiency().
models::Op gemm(models::GemmRole role) {
  models::Op op;
  op.name = "gemm";
  op.work = models::Gemm{.m = 1000, .n = 1000, .k = 1000, .role = role};
  op.weight_gradient = role == models::GemmRole::weight_grad;
  return op;
}

models::Op collective(const char* name, models::CollectiveKind kind, double bytes) {
  models::Op op;
  op.name = name;
  op.work = models::Collective{.kind = kind, .group = models::GroupKind::dp_cp, .payload = {bytes}};
  op.stream = models::Stream::dp_comm;
  return op;
}

/// Layers of 1 ms forward and 2 ms backward on `pp` ranks.
models::StepProgram tiny_program(int pp, int layers, int microbatches) {
  models::StepProgram program;
  program.layout.pp = pp;
  program.layout.gpus = program.layout.gpus_per_node = 8;
  program.layout.microbatches = program.layout.gbs = microbatches;
  program.layout.seq_len = 1000;
  program.traits.p2p_overlap = true;
  models::Block block;
  block.forward = {gemm(models::GemmRole::forward)};
  block.backward = {gemm(models::GemmRole::input_grad), gemm(models::GemmRole::weight_grad)};
  program.blocks.push_back(block);
  program.stages.resize(static_cast<std::size_t>(pp));
  for (int s = 0; s < pp; ++s) {
    program.chunks.push_back({.stage = s, .blocks = {{.block = 0, .count = static_cast<std::int16_t>(layers)}}});
    program.stages[static_cast<std::size_t>(s)].chunks = {s};
  }
  program.send.work = models::SendRecv{};
  program.groups[static_cast<std::size_t>(models::GroupKind::dp_cp)] = {.size = 4, .stride = 1};
  return program;
}

hw::Efficiency tiny_efficiency() {
  hw::Efficiency efficiency;
  for (hw::GemmCurve& curve : efficiency.gemm) curve = {.rate = {2e12}, .bandwidth = {1e30}, .overhead = {}};
  for (auto* curves : {&efficiency.nvlink, &efficiency.nvlink_four, &efficiency.nvlink_two})
    curves->fill({.latency = {}, .bandwidth = {1e9}});
  return efficiency;
}

models::Run tiny_run(const models::StepProgram& program) {
  models::Run run;
  run.layout = program.layout;
  run.model.hidden = 8;
  run.cluster.gpu.memory = {1e12};
  run.cluster.gpu.memory_bandwidth = {1e12};
  run.cluster.gpu.peak.fill({1e15});
  run.cluster.nvlink = run.cluster.nic = run.cluster.gpu.host_link = {1e9};
  run.cluster.nvlink_domain = run.cluster.gpus_per_node = run.cluster.rails = 8;
  return run;
}

std::map<std::string, double> milliseconds(const Prediction& prediction) {
  std::map<std::string, double> parts;
  for (const BreakdownItem& item : prediction.breakdown) parts[item.what] = item.time.value * 1e3;
  return parts;
}

class BothTiers : public testing::TestWithParam<Tier> {
 protected:
  static Prediction tiny(const models::StepProgram& program, const hw::Efficiency& efficiency = tiny_efficiency()) {
    return predict(tiny_run(program), program, efficiency, GetParam());
  }
  /// ms of one collective of `bytes`, alone.
  static double alone(const models::StepProgram& program, const models::Op& op) {
    const models::Run run = tiny_run(program);
    const hw::Efficiency efficiency = tiny_efficiency();
    return CostModel(program, run.cluster, efficiency).price(program.blocks[0], op).time.value * 1e3;
  }
};
INSTANTIATE_TEST_SUITE_P(Predict, BothTiers, testing::Values(Tier::closed_form, Tier::events),
                         [](const auto& tier) { return tier.param == Tier::events ? "events" : "closed_form"; });

// 2 ranks, 4 microbatches of 1 + 2 ms, nothing to send: (4 + 2 - 1) * 3 ms, of which a rank works 12.
TEST_P(BothTiers, OneForwardOneBackward) {
  hw::Efficiency efficiency = tiny_efficiency();
  efficiency.step_constant = {0.010};
  const Prediction prediction = tiny(tiny_program(2, 1, 4), efficiency);
  EXPECT_NEAR(prediction.step_time.value, 0.025, 1e-9);
  auto parts = milliseconds(prediction);
  EXPECT_NEAR(parts["gemm"], 12, 1e-6);
  EXPECT_NEAR(parts["bubble"], 3, 1e-6);
  EXPECT_NEAR(parts["step_constant"], 10, 1e-6);
  EXPECT_NEAR(prediction.bubble, 3.0 / 25, 1e-9);
  EXPECT_NEAR(prediction.tokens_per_s_per_gpu, 4 * 1000 / 0.025 / 8, 1e-3);
}

// 4 nodes of 8: log2(4) * 1 % longer.
TEST_P(BothTiers, StragglersGrowWithNodes) {
  models::StepProgram program = tiny_program(1, 1, 4);
  program.layout.gpus = 32;
  hw::Efficiency efficiency = tiny_efficiency();
  efficiency.straggler_slope = 0.01;
  EXPECT_NEAR(tiny(program, efficiency).step_time.value, 0.012 * 1.02, 1e-9);
}

// A run of 40 equal layers is extrapolated from 16: 2 microbatches of 120 ms.
TEST_P(BothTiers, LongRunsOfEqualBlocks) { EXPECT_NEAR(tiny(tiny_program(1, 40, 2)).step_time.value, 0.240, 1e-9); }

// Two runs, of 100 layers of 3 ms and of 20 of 30 ms: each goes on at its own pace.
TEST_P(BothTiers, LongRunsOfDifferentBlocks) {
  models::StepProgram program = tiny_program(1, 100, 2);
  program.blocks.push_back(program.blocks[0]);
  for (auto* ops : {&program.blocks[1].forward, &program.blocks[1].backward})
    for (models::Op& op : *ops) std::get<models::Gemm>(op.work).m *= 10;
  program.chunks[0].blocks.push_back({.block = 1, .count = 20});
  EXPECT_NEAR(tiny(program).step_time.value, 2 * (100 * 0.003 + 20 * 0.030), 1e-9);
}

// 8 layers of 1 ms whose activations take 5 ms to the host, then 100 layers behind which all copies hide. What further
// layers hide is not to be carried on beyond the copies that there are.
TEST_P(BothTiers, LongRunsHideNoMoreThanThereIs) {
  models::StepProgram program = tiny_program(1, 8, 2);
  program.blocks.push_back(program.blocks[0]);
  models::Op copy;
  copy.name = "offload";
  copy.work = models::HostCopy{.payload = {5e6}};
  copy.stream = models::Stream::copy;
  program.blocks[0].forward.insert(program.blocks[0].forward.begin(), copy);
  program.blocks[0].offloaded = {5e6};
  program.chunks[0].blocks.push_back({.block = 1, .count = 100});
  EXPECT_NEAR(tiny(program).step_time.value, 2 * 108 * 0.003, 1e-9);
}

// Sharded gradients reduced in every backward, for longer than it takes: 3 reductions behind the first block's 2 ms,
// and not those of the steady backward and of the last one besides.
TEST_P(BothTiers, TheOnlyBackwardReducesOnce) {
  models::StepProgram program = tiny_program(1, 3, 1);
  program.layout.fsdp = 4;
  program.data_parallel.reduce = When::every_microbatch;
  program.blocks[0].reduce = {collective("reduce", models::CollectiveKind::reduce_scatter, 100e6)};
  const double reduce = alone(program, program.blocks[0].reduce[0]);
  ASSERT_GT(reduce, 20);
  EXPECT_NEAR(tiny(program).step_time.value * 1e3, 3 + 3 * reduce, 2 + 1e-6);
}

// Reductions run beside the backward of the block after; that of the last block is exposed. Not overlapped, all are.
TEST_P(BothTiers, GradientsAreReducedBehindTheLastBackward) {
  models::StepProgram program = tiny_program(1, 3, 2);
  program.data_parallel.reduce = When::once_a_step;
  program.blocks[0].reduce = {collective("reduce", models::CollectiveKind::reduce_scatter, 1e6)};
  const double reduce = alone(program, program.blocks[0].reduce[0]);
  ASSERT_GT(reduce, 0.1);
  ASSERT_LT(reduce, 2);
  EXPECT_NEAR(tiny(program).step_time.value * 1e3, 18 + reduce, 1e-6);
  program.data_parallel.reduce_overlap = false;
  EXPECT_NEAR(tiny(program).step_time.value * 1e3, 18 + 3 * reduce, 1e-6);
}

// Reductions of 4 times a block's backward: after the first block's backward (2 ms) they follow one another.
TEST_P(BothTiers, ReductionsThatTakeLongerThanBackwardPileUp) {
  models::StepProgram program = tiny_program(1, 3, 2);
  program.data_parallel.reduce = When::once_a_step;
  program.blocks[0].reduce = {collective("reduce", models::CollectiveKind::reduce_scatter, 10e6)};
  const double reduce = alone(program, program.blocks[0].reduce[0]);
  ASSERT_GT(reduce, 2);
  const double exact = 9 + 3 + 2 + 3 * reduce;
  // The formula starts the reductions with the pass, not with the end of its first block.
  EXPECT_NEAR(tiny(program).step_time.value * 1e3, exact, GetParam() == Tier::events ? 1e-6 : 2 + 1e-6);
}

// FSDP: the gather of the next block hides behind this one; only the first one of each pass shows. Without prefetch
// each gather is waited for.
TEST_P(BothTiers, ShardedParametersAreGatheredAhead) {
  models::StepProgram program = tiny_program(1, 3, 2);
  program.layout.fsdp = 4;
  program.data_parallel.gather = When::every_microbatch;
  program.blocks[0].gather = {collective("gather", models::CollectiveKind::all_gather, 1e6)};
  const double gather = alone(program, program.blocks[0].gather[0]);
  ASSERT_LT(gather, 1);
  EXPECT_NEAR(tiny(program).step_time.value * 1e3, 18 + 2 * gather, 1e-6);
  auto parts = milliseconds(tiny(program));
  EXPECT_NEAR(parts["exposed_fsdp"], 2 * gather, 1e-6);
  program.data_parallel.prefetch = false;
  EXPECT_NEAR(tiny(program).step_time.value * 1e3, 18 + 6 * gather, 1e-6);
}

// Two flushes of two microbatches on two ranks: each (2 + 1) * 3 ms.
TEST_P(BothTiers, FlushesDrainThePipeline) {
  models::StepProgram program = tiny_program(2, 1, 4);
  program.layout.flushes = 2;
  EXPECT_NEAR(tiny(program).step_time.value, 0.018, 1e-9);
}

// ---- Whole runs ----

std::vector<models::Run> reference_runs(models::Library& library) {
  const std::string file = std::string(STEPCAST_SOURCE_DIR) + "/configs/runs/reference.jsonl";
  std::vector<models::Run> runs;
  for (const auto& line : hw::Node::read_lines(file)) runs.push_back(models::parse_run(*line.node, library, true));
  return runs;
}

hw::Efficiency default_efficiency(const models::Run& run) {
  const std::string file = std::string(STEPCAST_SOURCE_DIR) + "/calibration/profiles/default.json";
  return hw::parse_efficiency(hw::Node::read_file(file), run.cluster);
}

// The timeline holds each op of each microbatch once, inside the step, never two of one stream at once.
TEST(Predict, TimelineOfAReferenceRun) {
  models::Library library({STEPCAST_SOURCE_DIR});
  const models::Run run = reference_runs(library).front();
  models::Timeline timeline;
  const Prediction prediction = predict(run, default_efficiency(run), Tier::events, &timeline);
  ASSERT_FALSE(timeline.events.empty());
  std::set<std::pair<int, std::int64_t>> ids;
  std::map<std::pair<int, models::Stream>, std::vector<Span>> tracks;
  for (const models::TimelineEvent& event : timeline.events) {
    EXPECT_TRUE(ids.insert({event.rank, event.op}).second) << event.name;
    EXPECT_LE(event.end.value, prediction.step_time.value * (1 + 1e-9)) << event.name;
    if (event.microbatch >= 0) tracks[{event.rank, event.stream}].push_back({event.start, event.end});
  }
  for (auto& [track, spans] : tracks) {
    if (track.second == models::Stream::dp_comm) continue;  // the tail of one task may reach into the next
    std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.start < b.start; });
    for (std::size_t i = 1; i < spans.size(); ++i) EXPECT_GE(spans[i].start.value, spans[i - 1].end.value - 1e-9);
  }
  const hw::Node trace = hw::Node::parse(models::to_chrome_trace(timeline, run.id, "predicted"), "trace");
  EXPECT_EQ(trace.at("stepcast").at("run").text(), run.id);
  EXPECT_GT(trace.at("traceEvents").elements().size(), timeline.events.size());
}

// Recompute that is not stated: as little as fits.
TEST(Predict, AssumesTheLeastRecomputeThatFits) {
  models::Library library({STEPCAST_SOURCE_DIR});
  models::Run run = reference_runs(library).front();
  run.recompute = {};
  run.recompute_known = false;
  const hw::Efficiency efficiency = default_efficiency(run);
  run.cluster.gpu.memory = {1e15};
  EXPECT_EQ(predict(run, efficiency, Tier::closed_form).assumed, run.assumed);
  run.cluster.gpu.memory = {1};
  const Prediction squeezed = predict(run, efficiency, Tier::closed_form);
  ASSERT_FALSE(squeezed.assumed.empty());
  EXPECT_EQ(squeezed.assumed.back(), "recompute: full, and even so it does not fit");
  EXPECT_FALSE(squeezed.memory.fits());
}

}  // namespace
}  // namespace sim
