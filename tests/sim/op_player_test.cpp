#include "sim/op_player.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <vector>

namespace sim {
namespace {

using models::Stream;

PlayedOp compute(double time, std::initializer_list<std::int16_t> needs = {}) {
  return {.time = {time}, .host = {}, .stream = Stream::compute, .needs = needs};
}

PlayedOp transfer(double time, std::initializer_list<std::int16_t> needs = {}, Stream stream = Stream::tp_comm) {
  return {.time = {time}, .host = {}, .stream = stream, .link = Link::nvlink, .needs = needs};
}

PlayedOp with_host(PlayedOp op, double host) {
  op.host = {host};
  return op;
}

PlayedOp chunked(PlayedOp op, int chunks) {
  op.chunks = static_cast<std::int8_t>(chunks);
  return op;
}

Play play_one(const std::vector<PlayedOp>& ops, const Sharing& sharing = {}) {
  const Lane lane(ops);
  return play({&lane, 1}, sharing, true);
}

void expect_span(const Play& play, std::size_t op, double start, double end, std::size_t lane = 0) {
  EXPECT_NEAR(play.spans[lane][op].start.value, start, 1e-9) << op;
  EXPECT_NEAR(play.spans[lane][op].end.value, end, 1e-9) << op;
}

TEST(OpPlayer, RunsAStreamInOrder) {
  const Play result = play_one({compute(2), compute(3)});
  expect_span(result, 0, 0, 2);
  expect_span(result, 1, 2, 5);
  EXPECT_DOUBLE_EQ(result.makespan.value, 5);
  EXPECT_DOUBLE_EQ(result.compute_busy.value, 5);
}

TEST(OpPlayer, NothingTakesNoTime) {
  EXPECT_EQ(play_one({}).makespan.value, 0);
  EXPECT_EQ(play({}, {}, false).makespan.value, 0);
}

// The transfer runs from 2 to 6; the second op hides 3 s of it, the last one waits 1 s for it.
TEST(OpPlayer, HidesATransferBehindComputeThatDoesNotNeedIt) {
  const Play result = play_one({compute(2), transfer(4, {0}), compute(3), compute(1, {1})});
  expect_span(result, 1, 2, 6);
  expect_span(result, 2, 2, 5);
  expect_span(result, 3, 6, 7);
  EXPECT_NEAR(result.exposed_comm.value, 1, 1e-12);
  EXPECT_NEAR(result.exposed[static_cast<std::size_t>(Stream::tp_comm)].value, 1, 1e-12);
}

// Beside the transfer compute runs at 3/4: 1.5 s of work take 2 s, of which 0.5 s are slowdown.
TEST(OpPlayer, TransfersSlowCompute) {
  const Play result =
      play_one({compute(2), transfer(4, {0}), compute(1.5), compute(1, {1})}, {.nvlink_sm_share = 0.25});
  expect_span(result, 2, 2, 4);
  expect_span(result, 3, 6, 7);
  EXPECT_NEAR(result.slowdown.value, 0.5, 1e-12);
  EXPECT_NEAR(result.exposed_comm.value, 2, 1e-12);
}

// Issued at 1 and, after the first op ended at 11, the sync itself takes until 13; the last op is issued at 14.
TEST(OpPlayer, HostWaitsAtASync) {
  PlayedOp sync{.time = {2}, .host = {}, .stream = Stream::host, .sync = true, .needs = {}};
  const Play result = play_one({with_host(compute(10), 1), sync, with_host(compute(5), 1)});
  expect_span(result, 0, 1, 11);
  expect_span(result, 1, 11, 13);
  expect_span(result, 2, 14, 19);
  EXPECT_NEAR(result.exposed_host.value, 4, 1e-12);  // before the first op, in the sync and before the last op
}

// Gradients on their way (1 to 21 s) are on a stream of their own: the host waits for the compute stream alone.
TEST(OpPlayer, ASyncDoesNotWaitForDataParallelTransfers) {
  PlayedOp sync{.time = {2}, .host = {}, .stream = Stream::host, .sync = true, .needs = {}};
  const Play result = play_one({compute(1), transfer(20, {0}, Stream::dp_comm), compute(4), sync, compute(5)});
  expect_span(result, 1, 1, 21);
  expect_span(result, 2, 1, 5);
  expect_span(result, 3, 5, 7);
  expect_span(result, 4, 7, 12);
}

// Three ops of 1 s, each 5 s of host: issued at 5, 10, 15.
TEST(OpPlayer, HostBound) {
  const Play result = play_one({with_host(compute(1), 5), with_host(compute(1), 5), with_host(compute(1), 5)});
  EXPECT_DOUBLE_EQ(result.makespan.value, 16);
  EXPECT_DOUBLE_EQ(result.exposed_host.value, 13);
}

// Gather of 4 s in 4 chunks. A GEMM of 4 s starts with the first chunk and ends one chunk after the gather; one of 1 s
// does three chunks, waits for the gather and does the fourth.
TEST(OpPlayer, ChunksPipelineAnOpWithItsProducer) {
  const Play longer = play_one({transfer(4), chunked(compute(4, {0}), 4)});
  expect_span(longer, 1, 1, 5);
  const Play shorter = play_one({transfer(4), chunked(compute(1, {0}), 4)});
  expect_span(shorter, 1, 1, 4.25);
  EXPECT_NEAR(shorter.compute_busy.value, 1, 1e-12);
  EXPECT_NEAR(shorter.exposed_comm.value, 3.25, 1e-12);
}

// A GEMM of 4 s, then its reduction of 2 s in 4 chunks: it starts at 1, and its last quarter follows the GEMM.
TEST(OpPlayer, ChunkedReductionFollowsItsGemm) {
  const Play result = play_one({compute(4), chunked(transfer(2, {0}), 4)});
  expect_span(result, 1, 1, 4.5);
}

// Each lane: compute 2, transfer 3, compute 2. While both transfers run (4 to 6) each goes at half its speed.
TEST(OpPlayer, TwoLanesShareDeviceAndLink) {
  const std::vector<PlayedOp> ops = {compute(2), transfer(3, {0}), compute(2, {1})};
  const Lane lanes[] = {ops, ops};
  const Play result = play(lanes, {}, true);
  expect_span(result, 0, 0, 2, 0);
  expect_span(result, 0, 2, 4, 1);
  expect_span(result, 1, 2, 6, 0);
  expect_span(result, 1, 4, 8, 1);
  expect_span(result, 2, 6, 8, 0);
  expect_span(result, 2, 8, 10, 1);
}

// Lane 0 keeps the device until it waits for its transfer; lane 1 then keeps it although lane 0 is ready again at 3.
TEST(OpPlayer, ComputeStaysWithALaneUntilItWaits) {
  const std::vector<PlayedOp> a = {compute(1), compute(1), transfer(1, {1}), compute(1, {2})};
  const std::vector<PlayedOp> b = {compute(2), compute(2)};
  const Lane lanes[] = {a, b};
  const Play result = play(lanes, {}, true);
  expect_span(result, 1, 1, 2, 0);
  expect_span(result, 2, 2, 3, 0);
  expect_span(result, 0, 2, 4, 1);
  expect_span(result, 1, 4, 6, 1);
  expect_span(result, 3, 6, 7, 0);
}

// Both run at half speed until the side op's 2 s are done at 4; the other has 2 s left.
TEST(OpPlayer, SideStreamSharesTheDevice) {
  PlayedOp side = compute(2);
  side.stream = Stream::side;
  const Play result = play_one({compute(4), side});
  expect_span(result, 1, 0, 4);
  expect_span(result, 0, 0, 6);
}

TEST(OpPlayer, MainEndLeavesOutDataParallelTransfers) {
  const Play result = play_one({compute(2), transfer(5, {0}, Stream::dp_comm)});
  EXPECT_DOUBLE_EQ(result.main_end.value, 2);
  EXPECT_DOUBLE_EQ(result.makespan.value, 7);
}

std::vector<PlayedOp> random_lane(std::mt19937& random, int size) {
  constexpr Stream kChoices[] = {Stream::compute, Stream::compute, Stream::side, Stream::tp_comm, Stream::ep_comm};
  std::uniform_real_distribution<double> time(0, 1);
  std::vector<PlayedOp> ops;
  for (int i = 0; i < size; ++i) {
    PlayedOp op = compute(time(random));
    op.stream = kChoices[random() % 5];
    if (op.stream >= Stream::tp_comm) op.link = random() % 2 ? Link::nvlink : Link::nic;
    op.host = {0.2 * time(random)};
    op.chunks = random() % 4 == 0 ? 4 : 1;
    op.sync = random() % 20 == 0;
    for (int k = 0; k < 3 && i > 0; ++k) {
      const int back = 1 + static_cast<int>(random() % static_cast<unsigned>(std::min(i, 5)));
      op.needs.push_back(static_cast<std::int16_t>(i - back));
    }
    ops.push_back(op);
  }
  return ops;
}

TEST(OpPlayer, PropertiesOfRandomLanes) {
  std::mt19937 random(7);
  const Sharing sharing{.nvlink_sm_share = 0.2, .nic_sm_share = 0.05};
  for (int round = 0; round < 200; ++round) {
    const std::vector<PlayedOp> a = random_lane(random, 60), b = random_lane(random, 40);
    const Lane lanes[] = {a, b};
    const Play result = play(lanes, sharing, true);
    double work = 0, all = 0;
    for (const auto& lane : lanes)
      for (const PlayedOp& op : lane) {
        const bool comp = op.stream <= Stream::side;
        if (comp) work += op.time.value;
        all += op.time.value / (comp ? 0.8 : 1) + op.host.value;
      }
    EXPECT_GE(result.makespan.value, work - 1e-9);
    EXPECT_LE(result.makespan.value, all + 1e-9);
    EXPECT_NEAR(result.compute_busy.value - result.slowdown.value, work, 1e-8);
    EXPECT_NEAR((result.compute_busy + result.exposed_comm + result.exposed_host).value, result.makespan.value, 1e-8);
    const Play again = play(lanes, sharing, false);
    EXPECT_EQ(again.makespan.value, result.makespan.value);
    for (std::size_t lane = 0; lane < 2; ++lane)
      for (std::size_t i = 0; i < lanes[lane].size(); ++i)
        for (const std::int16_t need : lanes[lane][i].needs) {
          if (lanes[lane][i].chunks > 1) continue;
          EXPECT_GE(result.spans[lane][i].start.value, result.spans[lane][static_cast<std::size_t>(need)].end.value);
        }
  }
}

// Two lanes of a transformer layer's size. A loose bound: the aim is 15 us on an idle machine.
TEST(OpPlayer, IsFast) {
  std::vector<PlayedOp> ops;
  for (std::int16_t i = 0; i < 100; ++i) {
    PlayedOp op = i % 6 == 5 ? transfer(1) : compute(1);
    if (i > 0) op.needs = {static_cast<std::int16_t>(i - 1)};
    ops.push_back(op);
  }
  const Lane lanes[] = {ops, ops};
  double best = 1;
  for (int i = 0; i < 100; ++i) {
    const auto start = std::chrono::steady_clock::now();
    play(lanes, {.nvlink_sm_share = 0.1}, false);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  RecordProperty("microseconds", std::to_string(best * 1e6));
  EXPECT_LT(best, 200e-6);
}

}  // namespace
}  // namespace sim
