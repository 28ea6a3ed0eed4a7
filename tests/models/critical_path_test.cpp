#include "models/critical_path.h"

#include <gtest/gtest.h>

namespace models {
namespace {

Op op(Stream stream, std::initializer_list<std::int16_t> needs) {
  Op result;
  result.stream = stream;
  result.needs = needs;
  return result;
}

// Two streams:        compute  a(2) ---------> c(1)        c needs b
//                     comm           b(5) needs a          d(3) on compute after c
// a 0-2, b 2-7, c 7-8, d 8-11: the path is a b c d and lasts 11.
TEST(CriticalPath, ByHand) {
  const std::vector<Op> ops = {op(Stream::compute, {}), op(Stream::tp_comm, {0}), op(Stream::compute, {1}),
                               op(Stream::compute, {})};
  const std::vector<hw::Seconds> times = {{2}, {5}, {1}, {3}};
  const CriticalPath path = critical_path(ops, times);
  EXPECT_EQ(path.ops, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(path.length.value, 11);
}

// A transfer that nothing waits for is off the path when compute is longer, and is the path when it is longer.
TEST(CriticalPath, TheLongerOfTwoStreams) {
  const std::vector<Op> ops = {op(Stream::compute, {}), op(Stream::dp_comm, {0}), op(Stream::compute, {})};
  EXPECT_EQ(critical_path(ops, std::vector<hw::Seconds>{{1}, {2}, {4}}).ops, (std::vector<int>{0, 2}));
  EXPECT_EQ(critical_path(ops, std::vector<hw::Seconds>{{1}, {9}, {4}}).ops, (std::vector<int>{0, 1}));
}

TEST(CriticalPath, EmptyListHasNone) { EXPECT_TRUE(critical_path({}, {}).ops.empty()); }

}  // namespace
}  // namespace models
