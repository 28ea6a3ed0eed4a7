#include <gtest/gtest.h>

#include <string>

#include "hw/efficiency.h"
#include "hw/node.h"
#include "models/run.h"
#include "models/schedule.h"
#include "models/step_program.h"
#include "models/timeline.h"
#include "sim/prediction.h"

namespace sim {
namespace {

/// 1 ms on the efficiency below.
models::Op gemm(models::GemmRole role) {
  models::Op op;
  op.name = "gemm";
  op.work = models::Gemm{.m = 1000, .n = 1000, .k = 1000, .role = role};
  op.weight_gradient = role == models::GemmRole::weight_grad;
  return op;
}

/// ZB-2p on 2 ranks with a layer each, F = B = W = 1 ms, no transfers; the optimizer takes no time.
models::StepProgram program(int microbatches) {
  models::StepProgram program;
  program.layout.pp = 2;
  program.layout.schedule = models::Schedule::zb_2p;
  program.layout.gpus = program.layout.gpus_per_node = 8;
  program.layout.microbatches = program.layout.gbs = microbatches;
  program.layout.seq_len = 1000;
  models::Block block;
  block.forward = {gemm(models::GemmRole::forward)};
  block.backward = {gemm(models::GemmRole::input_grad), gemm(models::GemmRole::weight_grad)};
  program.blocks.push_back(block);
  program.stages.resize(2);
  for (int s = 0; s < 2; ++s) {
    program.chunks.push_back({.stage = s, .blocks = {{.block = 0, .count = 1}}});
    program.stages[static_cast<std::size_t>(s)].chunks = {s};
  }
  program.send.work = models::SendRecv{};
  return program;
}

Prediction predicted(const models::StepProgram& program, Tier tier, models::Timeline* timeline = nullptr) {
  models::Run run;
  run.layout = program.layout;
  run.cluster.gpus_per_node = run.cluster.nvlink_domain = 8;
  run.cluster.nvlink = run.cluster.nic = {1e9};
  run.cluster.gpu.memory_bandwidth = {1e12};
  hw::Efficiency efficiency;
  for (hw::GemmCurve& curve : efficiency.gemm) curve = {.rate = {2e12}, .bandwidth = {1e30}, .overhead = {}};
  for (auto* curves : {&efficiency.nvlink, &efficiency.nvlink_four, &efficiency.nvlink_two})
    curves->fill({.latency = {}, .bandwidth = {1e9}});
  return predict(run, program, efficiency, tier, timeline);
}

// ZB-H2 leaves no bubble between a stage's first and last task (arXiv 2401.10241, table 2): 8 microbatches of 3 ms.
// Rank 1 starts a forward later than rank 0 and ends as much later: the makespan is a millisecond more.
TEST(PostValidation, StepCostsTheLongestSpanInsteadOfTheMakespan) {
  models::StepProgram meeting = program(8), apart = program(8);
  apart.traits.post_validation_optimizer = true;
  for (const Tier tier : {Tier::closed_form, Tier::events}) {
    EXPECT_NEAR(predicted(meeting, tier).step_time.value, 0.025, 1e-9);
    const Prediction prediction = predicted(apart, tier);
    EXPECT_NEAR(prediction.step_time.value, 0.024, 1e-9);
    EXPECT_NEAR(prediction.bubble, 0, 1e-9);
    hw::Seconds sum;
    for (const BreakdownItem& item : prediction.breakdown) sum += item.time;
    EXPECT_NEAR(sum.value, 0.024, 1e-9);
  }
}

// The same for 400 microbatches, which the closed form does not play whole.
TEST(PostValidation, ClosedFormLengthensSpanAndMakespanAlike) {
  models::StepProgram meeting = program(400), apart = program(400);
  apart.traits.post_validation_optimizer = true;
  EXPECT_NEAR(predicted(meeting, Tier::closed_form).step_time.value, 1.201, 1e-9);
  EXPECT_NEAR(predicted(apart, Tier::closed_form).step_time.value, 1.2, 1e-9);
}

// The first published zero-bubble run states it, the 1F1B runs state that they do without.
TEST(PostValidation, IsReadFromRuns) {
  models::Library library({STEPCAST_SOURCE_DIR});
  int with = 0, without = 0;
  for (const auto& line :
       hw::Node::read_lines(std::string(STEPCAST_SOURCE_DIR) + "/configs/runs/published/zero_bubble.jsonl")) {
    const models::Run run = models::parse_run(*line.node, library, true);
    EXPECT_EQ(run.traits.post_validation_optimizer, models::splits_backward(run.layout.schedule)) << run.id;
    ++(run.traits.post_validation_optimizer ? with : without);
  }
  EXPECT_GT(with, 0);
  EXPECT_GT(without, 0);
}

}  // namespace
}  // namespace sim
