// Lists of joined ops, worked out by hand.
#include "sim/coalesce.h"

#include <gtest/gtest.h>

#include <vector>

namespace sim {
namespace {

using models::Stream;

/// `time` and `host` in seconds.
PlayedOp op(double time, double host, Stream stream = Stream::compute) {
  return {.time = {time},
          .host = {host},
          .stream = stream,
          .link = stream == Stream::compute ? Link::none : Link::nvlink,
          .needs = {}};
}

double makespan(const PricedList& list) {
  const Lane lane(list.ops);
  return play({&lane, 1}, {}, false).makespan.value;
}

PricedList list_of(std::vector<PlayedOp> ops, int output) {
  PricedList list;
  list.weight_gradient.assign(ops.size(), false);
  list.ops = std::move(ops);
  list.output = output;
  return list;
}

// Host 1 s an op, ops of 4 s: the host is ahead. Three ops become one of 12 s, which starts when the host has issued
// the first: 1 + 12 s in both lists. The host time of the other two is left for what comes behind.
TEST(Coalesced, JoinsWhatTheHostIsAheadOf) {
  const PricedList list = list_of({op(4, 1), op(4, 1), op(4, 1)}, 2);
  const PricedList joined = coalesced(list);
  ASSERT_EQ(joined.ops.size(), 1u);
  EXPECT_DOUBLE_EQ(joined.ops[0].time.value, 12);
  EXPECT_DOUBLE_EQ(joined.ops[0].host.value, 1);
  EXPECT_DOUBLE_EQ(joined.host_after.value, 2);
  EXPECT_EQ(joined.output, 0);
  EXPECT_DOUBLE_EQ(makespan(list), 13);
  EXPECT_DOUBLE_EQ(makespan(joined), 13);
}

// The second op of 1 s ends before the host has issued the third, 3 s later: that one starts on its own.
TEST(Coalesced, LeavesApartWhatWaitsForTheHost) {
  const PricedList list = list_of({op(4, 1), op(1, 1), op(1, 5)}, 2);
  const PricedList joined = coalesced(list);
  ASSERT_EQ(joined.ops.size(), 2u);
  EXPECT_DOUBLE_EQ(joined.ops[1].host.value, 6);
  EXPECT_DOUBLE_EQ(makespan(list), 8);  // issued at 1 + 1 + 5, then 1
  EXPECT_DOUBLE_EQ(makespan(joined), 8);
}

// A transfer waits for the second op's end: the third is not joined to it, nor the fourth to the transfer.
TEST(Coalesced, EndsWhereAnotherStreamWaits) {
  PlayedOp transfer = op(3, 0, Stream::tp_comm);
  transfer.needs = {1};
  PlayedOp reader = op(4, 0);
  reader.needs = {2};
  const PricedList list = list_of({op(4, 0), op(4, 0), transfer, op(1, 0), reader}, 4);
  const PricedList joined = coalesced(list);
  ASSERT_EQ(joined.ops.size(), 4u);
  EXPECT_EQ(joined.ops[1].needs[0], 0);
  EXPECT_EQ(joined.ops[3].needs[0], 1);
  EXPECT_DOUBLE_EQ(makespan(list), 15);  // 8 + 3 + 4
  EXPECT_DOUBLE_EQ(makespan(joined), 15);
}

}  // namespace
}  // namespace sim
