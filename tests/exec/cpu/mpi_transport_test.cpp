// Runs under mpirun (tests/CMakeLists.txt); started alone, these tests are skipped. One filter a process: MPI starts
// once.
#include "exec/cpu/mpi_transport.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "exec/cpu/cpu_communicator.h"
#include "exec/launched_rank.h"
#include "tests/exec/cpu/collective_cases.h"

namespace exec_test {
namespace {

using namespace std::chrono_literals;

bool launched() {
  return exec::launched_rank([](const char* name) { return std::getenv(name); }).has_value();
}

// ---- All is well ----

class MpiRanks : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (launched() && exec::has_mpi()) transport() = exec::start_mpi_transport();
  }
  static void TearDownTestSuite() { transport().reset(); }
  static std::unique_ptr<exec::Transport>& transport() {
    static std::unique_ptr<exec::Transport> started;
    return started;
  }
  void SetUp() override {
    if (!transport()) GTEST_SKIP() << "not under mpirun";
  }
};

TEST_F(MpiRanks, AreThoseThatTheLauncherNames) {
  const auto place = exec::launched_rank([](const char* name) { return std::getenv(name); });
  EXPECT_EQ(transport()->rank(), place->rank);
  EXPECT_EQ(transport()->size(), place->size);
}

TEST_F(MpiRanks, GetTheSameFromEveryCallAsThreads) {
  constexpr auto kAlways = SIZE_MAX;
  for (const bool deterministic : {false, true})
    for (const std::size_t small : {std::size_t{0}, kAlways})
      for (const hw::DType dtype : {hw::DType::fp32, hw::DType::bf16, hw::DType::int64})
        for (const std::int64_t count : {0, 1, 129, 1001})
          check_collectives(
              *transport(),
              {.small_payload_bytes = small, .segment_bytes = 200, .deterministic = deterministic, .time_limit = 30s},
              dtype, count);
}

TEST_F(MpiRanks, SendLargePayloadsInSegments) {
  check_collectives(*transport(), {.segment_bytes = 64 * 1024, .time_limit = 30s}, hw::DType::fp32, 100'001);
}

TEST_F(MpiRanks, MayCallFromTwoThreads) {
  const auto reduce_often = [&](int id) {
    exec::RankGroup group = everyone(*transport());
    group.id = id;
    exec::CpuCommunicator communicator(*transport(), group, {.time_limit = 30s});
    for (int i = 0; i < 100; ++i) {
      std::int64_t sum = i + id;
      communicator.all_reduce(&sum, &sum, 1, hw::DType::int64);
      EXPECT_EQ(sum, transport()->size() * (i + id));
    }
  };
  std::jthread other(reduce_often, 1);
  reduce_often(2);
}

// ---- What goes wrong ends the job ----

/// Runs `body` on each rank as a program does: prints what it throws, tells the others, and ends. The processes' exit
/// says nothing, as the job is aborted; tests/CMakeLists.txt looks for the text and limits the time.
void run_and_report(const std::function<void(exec::CpuCommunicator&)>& body) {
  if (!launched() || !exec::has_mpi()) GTEST_SKIP() << "not under mpirun";
  const std::unique_ptr<exec::Transport> transport = exec::start_mpi_transport();
  try {
    exec::CpuCommunicator communicator(*transport, everyone(*transport), {.time_limit = 2s});
    for (int i = 0; i < 10; ++i) communicator.barrier();
    body(communicator);
    std::cout << "nothing went wrong on rank " << transport->rank() << std::endl;
  } catch (const exec::TransportError& error) {
    std::cout << "on rank " << transport->rank() << ": " << error.what() << std::endl;
    transport->fail(error.what());
  }
}

void reduce(exec::CpuCommunicator& communicator, std::int64_t count) {
  std::vector<float> data(static_cast<std::size_t>(count));
  communicator.all_reduce(data.data(), data.data(), count, hw::DType::fp32);
}

TEST(MpiFailure, Mismatch) {
  run_and_report([](exec::CpuCommunicator& communicator) { reduce(communicator, communicator.rank() == 1 ? 7 : 8); });
}

TEST(MpiFailure, StuckRank) {
  run_and_report([](exec::CpuCommunicator& communicator) {
    if (communicator.rank() == 1) std::this_thread::sleep_for(1h);
    reduce(communicator, 100'000);
  });
}

TEST(MpiFailure, KilledRank) {
  run_and_report([](exec::CpuCommunicator& communicator) {
    for (int i = 0; i < 1'000'000; ++i) {
      if (communicator.rank() == 1 && i == 50) raise(SIGKILL);
      reduce(communicator, 100'000);
    }
  });
}

}  // namespace
}  // namespace exec_test
