#include "exec/stream.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace exec {
namespace {

using models::Stream;
using namespace std::chrono_literals;

class Streams : public testing::TestWithParam<StreamMode> {
 protected:
  RealClock clock_;
  StreamPool pool_{GetParam(), clock_};
};

TEST_P(Streams, RunAStreamsWorkInTheOrderOfLaunching) {
  std::vector<int> order, wanted(100);
  std::iota(wanted.begin(), wanted.end(), 0);
  for (const int i : wanted) pool_.launch(Stream::compute, [&order, i] { order.push_back(i); });
  pool_.synchronize(Stream::compute);
  EXPECT_EQ(order, wanted);
}

// Every value goes from stream to stream round a circle, without any other lock than the events.
TEST_P(Streams, KeepTheOrderThatEventsAskFor) {
  const Stream circle[] = {Stream::compute, Stream::tp_comm, Stream::dp_comm, Stream::copy};
  int value = 0;
  for (int i = 0; i < 400; ++i) {
    const Stream from = circle[i % 4], to = circle[(i + 1) % 4];
    pool_.launch(from, [&value, i] { value = value == i ? i + 1 : -1; });
    pool_.wait(to, pool_.record(from));
  }
  pool_.synchronize_all();
  EXPECT_EQ(value, 400);
}

TEST_P(Streams, SynchronisingAStreamIncludesWhatItsEventsWaitFor) {
  std::atomic<bool> done = false;
  pool_.launch(Stream::pp_comm, [&] {
    std::this_thread::sleep_for(20ms);
    done = true;
  });
  pool_.wait(Stream::compute, pool_.record(Stream::pp_comm));
  pool_.synchronize(Stream::compute);
  EXPECT_TRUE(done);
  pool_.synchronize_all();
}

TEST_P(Streams, AnEventOfNothingHasHappened) {
  bool ran = false;
  pool_.wait(Stream::compute, pool_.record(Stream::copy));
  pool_.launch(Stream::compute, [&] { ran = true; });
  pool_.synchronize_all();
  EXPECT_TRUE(ran);
}

TEST_P(Streams, StopAtTheFirstExceptionAndRethrowIt) {
  std::atomic<bool> ran = false;
  pool_.launch(Stream::compute, [] { throw std::domain_error("first"); });
  pool_.wait(Stream::copy, pool_.record(Stream::compute));
  pool_.launch(Stream::copy, [&] { ran = true; });
  EXPECT_THROW(pool_.synchronize_all(), std::domain_error);
  EXPECT_THROW(pool_.synchronize(Stream::copy), std::domain_error);
  pool_.launch(Stream::host, [&] { ran = true; });
  EXPECT_THROW(pool_.synchronize(Stream::host), std::domain_error);
  EXPECT_FALSE(ran);
}

TEST_P(Streams, RecordEachLaunch) {
  pool_.launch(
      Stream::compute, [] { std::this_thread::sleep_for(5ms); }, 7);
  pool_.wait(Stream::copy, pool_.record(Stream::compute));
  pool_.launch(
      Stream::copy,
      [this] {
        const hw::Seconds start = clock_.now().cpu;
        while (clock_.now().cpu < start + hw::Seconds{0.002}) {
        }
      },
      8);
  pool_.synchronize_all();
  const std::vector<LaunchRecord> records = pool_.take_records();
  ASSERT_EQ(records.size(), 2U);
  const LaunchRecord &sleep = records[0], &spin = records[1];
  EXPECT_EQ(sleep.op, 7);
  EXPECT_EQ(sleep.stream, Stream::compute);
  EXPECT_GE((sleep.end.wall - sleep.start.wall).value, 0.005);
  EXPECT_LT((sleep.end.cpu - sleep.start.cpu).value, 0.005);  // sleep is no CPU time
  EXPECT_EQ(spin.op, 8);
  EXPECT_GE((spin.end.cpu - spin.start.cpu).value, 0.002);
  EXPECT_GE(spin.start.wall.value, sleep.end.wall.value);
  EXPECT_TRUE(pool_.take_records().empty());
}

INSTANTIATE_TEST_SUITE_P(Modes, Streams, testing::Values(StreamMode::threads, StreamMode::immediate),
                         [](const auto& test) {
                           return std::string(test.param == StreamMode::threads ? "threads" : "immediate");
                         });

// Each waits until the other runs, which two streams in turn could never do.
TEST(StreamThreads, RunBesideEachOther) {
  RealClock clock;
  StreamPool pool(StreamMode::threads, clock);
  std::promise<void> compute, copy;
  std::future<void> compute_runs = compute.get_future(), copy_runs = copy.get_future();
  pool.launch(Stream::compute, [&] {
    compute.set_value();
    EXPECT_EQ(copy_runs.wait_for(30s), std::future_status::ready);
  });
  pool.launch(Stream::copy, [&] {
    copy.set_value();
    EXPECT_EQ(compute_runs.wait_for(30s), std::future_status::ready);
  });
  pool.synchronize_all();
}

// The second stream's work waits for something that only the failure brings.
TEST(StreamThreads, AFailureWakesWorkThatWaitsOutside) {
  RealClock clock;
  std::promise<std::string> failed;
  std::future<std::string> failure = failed.get_future();
  StreamPool pool(StreamMode::threads, clock, [&](const std::string& why) { failed.set_value(why); });
  std::string heard;
  std::promise<void> begun;
  pool.launch(Stream::tp_comm, [&] {
    begun.set_value();
    heard = failure.get();
  });
  begun.get_future().wait();  // work that had not begun would be dropped
  pool.launch(Stream::compute, [] { throw std::domain_error("loss is not a number"); });
  EXPECT_THROW(pool.synchronize_all(), std::domain_error);
  EXPECT_EQ(heard, "loss is not a number");
}

TEST(StreamThreads, DestructionDropsWhatHasNotBegun) {
  RealClock clock;
  std::atomic<int> ran = 0;
  std::promise<void> begun;
  {
    StreamPool pool(StreamMode::threads, clock);
    pool.launch(Stream::compute, [&] {
      begun.set_value();
      std::this_thread::sleep_for(50ms);
      ++ran;
    });
    pool.launch(Stream::compute, [&] { ++ran; });
    begun.get_future().wait();
  }
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace exec
