#include <gtest/gtest.h>

#include "hw/node.h"
#include "models/lower.h"
#include "models/run.h"
#include "models/step_program.h"
#include "sim/prediction.h"

namespace sim {
namespace {

/// `pp` ranks of `vp` chunks each, `layers` blocks a chunk that keep 10 bytes, of which weight gradients need 8;
/// transient 1 byte in forward and 5 in backward; 100 bytes of weights.
models::StepProgram tiny_program(int pp, int layers, int microbatches,
                                 models::Schedule schedule = models::Schedule::one_f_one_b, int vp = 1) {
  models::StepProgram program;
  program.layout.pp = pp;
  program.layout.vp = vp;
  program.layout.gpus = pp;
  program.layout.microbatches = microbatches;
  program.layout.schedule = schedule;
  models::Block block;
  block.kept = {10};
  block.held_for_weights = {8};
  block.forward_peak = {1};
  block.backward_peak = block.input_grad_peak = {5};
  program.blocks.push_back(block);
  program.stages.resize(static_cast<std::size_t>(pp));
  for (int c = 0; c < pp * vp; ++c) {
    const int s = c % pp;
    program.chunks.push_back({.stage = s, .blocks = {{.block = 0, .count = static_cast<std::int16_t>(layers)}}});
    program.stages[static_cast<std::size_t>(s)].chunks.push_back(c);
    program.stages[static_cast<std::size_t>(s)].memory.weights = {100};
  }
  program.send.work = models::SendRecv{};
  return program;
}

models::Run run_with(double memory) {
  models::Run run;
  run.cluster.gpu.memory = {memory};
  return run;
}

double item(const Memory& memory, const std::string& kind) {
  for (const MemoryItem& one : memory.items)
    if (one.kind == kind) return one.bytes.value;
  ADD_FAILURE() << kind;
  return 0;
}

// Rank 0 of 2 runs F0 F1 B0 ...: in B0 both microbatches are held (20) and 5 bytes more are in use.
TEST(Memory, OneForwardOneBackward) {
  const Memory memory = predict_memory(run_with(200), tiny_program(2, 1, 4));
  EXPECT_DOUBLE_EQ(memory.peak.value, 125);
  EXPECT_EQ(memory.stage, 0);
  EXPECT_EQ(memory.moment, "backward of chunk 0, microbatch 0");
  EXPECT_DOUBLE_EQ(item(memory, "weights"), 100);
  EXPECT_DOUBLE_EQ(item(memory, "activations"), 20);
  EXPECT_DOUBLE_EQ(item(memory, "transient"), 5);
  EXPECT_TRUE(memory.fits());
  EXPECT_FALSE(predict_memory(run_with(124), tiny_program(2, 1, 4)).fits());
}

// GPipe holds all 4 microbatches before the first backward.
TEST(Memory, GPipeHoldsAllMicrobatches) {
  EXPECT_DOUBLE_EQ(predict_memory(run_with(200), tiny_program(2, 1, 4, models::Schedule::gpipe)).peak.value, 145);
}

// More microbatches than the pipeline is deep change nothing.
TEST(Memory, DoesNotGrowWithMicrobatches) {
  EXPECT_DOUBLE_EQ(predict_memory(run_with(200), tiny_program(4, 1, 400)).peak.value,
                   predict_memory(run_with(200), tiny_program(4, 1, 8)).peak.value);
  EXPECT_DOUBLE_EQ(predict_memory(run_with(200), tiny_program(4, 1, 8)).peak.value, 145);
}

// A later microbatch's flush is as full as one alone: 8 microbatches in 4 flushes of 2 on 4 ranks hold 2.
TEST(Memory, FlushesLimitMicrobatchesInFlight) {
  models::StepProgram program = tiny_program(4, 1, 8);
  program.layout.flushes = 4;
  EXPECT_DOUBLE_EQ(predict_memory(run_with(200), program).peak.value, 125);
}

// Two layers and a head that keeps nothing but needs 50 bytes in forward, after the layers' 20 kept ones: 170; in
// backward the layers' own 5 are less.
TEST(Memory, TheHeadMeetsAllLayersOfItsPass) {
  models::StepProgram program = tiny_program(1, 2, 1);
  models::Block head;
  head.forward_peak = {50};
  head.backward_peak = head.input_grad_peak = {40};
  program.blocks.push_back(head);
  program.chunks[0].blocks.push_back({.block = 1, .count = 1});
  const Memory memory = predict_memory(run_with(200), program);
  EXPECT_DOUBLE_EQ(memory.peak.value, 170);
  EXPECT_EQ(memory.moment, "forward of chunk 0, microbatch 0");
  EXPECT_DOUBLE_EQ(item(memory, "activations") + item(memory, "transient"), 70);
}

// MPT ties head and embedding: under LoRA the one table is frozen, so no gradient is saved by holding it once. What is
// trained, by hand: rank 16 on q, k, v and output (768 wide) and both sides of the MLP (to 3072) in 12 layers, 16 *
// (fused qkv 768 + 2304, output 2 * 768, MLP 2 * (768 + 3072)) = 196608 parameters a layer, with fp32 gradients.
TEST(Memory, NoKindIsNegativeUnderLoraWithTiedEmbeddings) {
  models::Library library({STEPCAST_SOURCE_DIR});
  const models::Run run = models::parse_run(hw::Node::parse(R"({"model": "mpt-125m", "system": "h100", "gpus": 8,
    "precision": "bf16", "seq_len": 2048, "gbs": 8, "mbs": 1, "task": "lora"})",
                                                            "test"),
                                            library, false);
  const models::StepProgram program = models::lower(run);
  for (const MemoryItem& one : predict_memory(run, program).items) EXPECT_GE(one.bytes.value, 0) << one.kind;
  EXPECT_DOUBLE_EQ(program.stages[0].memory.gradients.value, 4.0 * 12 * 196608);
}

TEST(Memory, ItemsAddUpToThePeak) {
  models::StepProgram program = tiny_program(2, 3, 8);
  program.traits.allocator_overhead_gib = 0.5;
  program.stages[0].memory.gradients = {7};
  program.stages[0].memory.optimizer = {11};
  program.stages[0].memory.gathered = {13};
  program.send.work = models::SendRecv{.group = models::GroupKind::pp, .payload = {17}};
  const Memory memory = predict_memory(run_with(1e9), program);
  double sum = 0;
  for (const MemoryItem& one : memory.items) sum += one.bytes.value;
  EXPECT_DOUBLE_EQ(sum, memory.peak.value);
  EXPECT_DOUBLE_EQ(item(memory, "communication"), 34);
  EXPECT_DOUBLE_EQ(item(memory, "overhead"), 0.5 * hw::kGiB);
}

// Megatron-LM's interleaved schedule on 4 ranks of 5 chunks: rank 0 has 2*3 + 4*4 forwards ahead and one more in
// steady state, 23 in flight, however many groups of 4 microbatches follow.
TEST(Memory, InterleavedFlight) {
  for (const int microbatches : {8, 16, 64}) {
    const auto program = tiny_program(4, 1, microbatches, models::Schedule::interleaved, 5);
    EXPECT_DOUBLE_EQ(predict_memory(run_with(1e9), program).peak.value, 100 + 23 * 10 + 5) << microbatches;
  }
}

// Forward of one microbatch beside backward of another, two layers each: 20 are kept; the forward's first layer adds
// 10 before the backward's last has released its 10, both with their transient bytes. Run one after the other with two
// microbatches in flight it would be 145.
TEST(Memory, MergedForwardAndBackwardHoldOneLayerMore) {
  models::StepProgram program = tiny_program(1, 2, 4);
  program.traits.ep_overlap = true;
  const Memory memory = predict_memory(run_with(200), program);
  EXPECT_DOUBLE_EQ(memory.peak.value, 100 + 20 + 10 + 1 + 5);
  EXPECT_DOUBLE_EQ(item(memory, "activations"), 30);
  EXPECT_EQ(memory.moment, "backward of chunk 0, microbatch 0");
}

// One microbatch under FSDP: at the start of backward 10 kept, 5 transient and 25 gathered; at its end 5 transient and
// the gradients.
TEST(Memory, GradientsReplaceActivationsInTheOnlyBackward) {
  models::StepProgram program = tiny_program(1, 1, 1);
  program.stages[0].memory.gathered = {25};
  program.stages[0].memory.gradients = program.blocks[0].late_gradients = {30};
  program.stages[0].memory.gradients_in_backward = true;
  const Memory start = predict_memory(run_with(200), program);
  EXPECT_DOUBLE_EQ(start.peak.value, 140);
  EXPECT_DOUBLE_EQ(item(start, "gradients"), 0);
  program.stages[0].memory.gradients = program.blocks[0].late_gradients = {40};
  const Memory end = predict_memory(run_with(200), program);
  EXPECT_DOUBLE_EQ(end.peak.value, 145);
  EXPECT_DOUBLE_EQ(item(end, "gathered"), 0);
  EXPECT_EQ(end.moment, "end of backward");
}

// One rank runs F B W F B W: at most one microbatch is there. Where weight gradients read more (30) than was kept (10),
// the end of the input gradients is the fullest moment.
TEST(Memory, InputGradientsLeaveWhatWeightGradientsRead) {
  models::StepProgram program = tiny_program(1, 1, 4, models::Schedule::zb_1p);
  EXPECT_DOUBLE_EQ(predict_memory(run_with(200), program).peak.value, 115);
  program.blocks[0].held_for_weights = {30};
  EXPECT_DOUBLE_EQ(predict_memory(run_with(200), program).peak.value, 130);
}

// The zero-bubble schedules hold what weight gradients read until those have run: never less than 1F1B.
TEST(Memory, ZeroBubbleHoldsAtLeastAsMuch) {
  const double plain = predict_memory(run_with(1e9), tiny_program(4, 1, 16)).peak.value;
  EXPECT_GE(predict_memory(run_with(1e9), tiny_program(4, 1, 16, models::Schedule::zb_1p)).peak.value, plain);
  EXPECT_GT(predict_memory(run_with(1e9), tiny_program(4, 1, 16, models::Schedule::zb_2p)).peak.value, plain);
}

}  // namespace
}  // namespace sim
