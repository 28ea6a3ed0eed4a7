#include "exec/cpu/cpu_communicator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "exec/cpu/thread_transport.h"
#include "tests/exec/cpu/collective_cases.h"

namespace exec_test {
namespace {

using exec::CollectiveAlgorithms;
using exec::CpuCommunicator;
using exec::Transport;
using namespace std::chrono_literals;

constexpr auto kAlways = std::numeric_limits<std::size_t>::max();

/// Segments so small that every payload has several.
struct NamedAlgorithms {
  const char* name;
  CollectiveAlgorithms algorithms;
};
const NamedAlgorithms kAlgorithms[] = {
    {"ring", {.small_payload_bytes = 0, .segment_bytes = 200, .deterministic = false, .time_limit = 60s}},
    {"tree", {.small_payload_bytes = kAlways, .segment_bytes = 200, .deterministic = false, .time_limit = 60s}},
    {"ordered", {.small_payload_bytes = 0, .segment_bytes = 200, .deterministic = true, .time_limit = 60s}},
    {"gathered", {.small_payload_bytes = kAlways, .segment_bytes = 200, .deterministic = true, .time_limit = 60s}},
    {"defaults", {.time_limit = 60s}},
};

class Conformance : public testing::TestWithParam<std::tuple<int, NamedAlgorithms>> {};

TEST_P(Conformance, EveryCallGivesWhatItsDefinitionSays) {
  const auto& [ranks, named] = GetParam();
  const CollectiveAlgorithms algorithms = named.algorithms;
  exec::run_thread_ranks(ranks, [&](Transport& transport) {
    for (const hw::DType dtype :
         {hw::DType::fp64, hw::DType::fp32, hw::DType::bf16, hw::DType::int32, hw::DType::int64})
      for (const std::int64_t count : {0, 1, 3, 64, 129, 1001}) check_collectives(transport, algorithms, dtype, count);
  });
}

INSTANTIATE_TEST_SUITE_P(All, Conformance, testing::Combine(testing::Range(1, 9), testing::ValuesIn(kAlgorithms)),
                         [](const auto& test) {
                           return std::string(std::get<1>(test.param).name) + std::to_string(std::get<0>(test.param));
                         });

// ---- Deterministic sums ----

/// Numbers of very different size, so that each order of adding them gives other bits.
std::vector<float> contribution(int rank, std::size_t count) {
  std::mt19937 random(static_cast<unsigned>(rank));
  std::uniform_real_distribution<float> mantissa(-1, 1), exponent(-12, 12);
  std::vector<float> values(count);
  for (float& value : values) value = std::ldexp(mantissa(random), static_cast<int>(exponent(random)));
  return values;
}

std::vector<float> summed_in_order(int ranks, std::size_t count) {
  std::vector<float> sum = contribution(0, count);
  for (int rank = 1; rank < ranks; ++rank) {
    const std::vector<float> next = contribution(rank, count);
    for (std::size_t i = 0; i < count; ++i) sum[i] += next[i];
  }
  return sum;
}

class DeterministicSum : public testing::TestWithParam<int> {};

TEST_P(DeterministicSum, IsInTheOrderOfRanksOnEveryRankWhateverTheAlgorithm) {
  const int ranks = GetParam();
  constexpr std::int64_t kCount = 1003;
  const std::vector<float> wanted = summed_in_order(ranks, kCount);
  exec::run_thread_ranks(ranks, [&](Transport& transport) {
    const std::vector<float> mine = contribution(transport.rank(), kCount);
    for (const std::size_t small : {std::size_t{0}, kAlways}) {
      for (const std::size_t segment : {64U, 1000U, 1U << 20}) {
        CpuCommunicator communicator(transport, everyone(transport),
                                     {.small_payload_bytes = small, .segment_bytes = segment, .deterministic = true});
        std::vector<float> sum(kCount);
        communicator.all_reduce(mine.data(), sum.data(), kCount, hw::DType::fp32);
        EXPECT_EQ(sum, wanted);
      }
    }
  });
}

TEST_P(DeterministicSum, OfAReduceScatterToo) {
  const int ranks = GetParam();
  constexpr std::int64_t kCount = 77;
  const std::vector<float> wanted = summed_in_order(ranks, static_cast<std::size_t>(kCount * ranks));
  exec::run_thread_ranks(ranks, [&](Transport& transport) {
    const std::vector<float> mine = contribution(transport.rank(), static_cast<std::size_t>(kCount * ranks));
    CpuCommunicator communicator(transport, everyone(transport), {.segment_bytes = 64, .deterministic = true});
    std::vector<float> sum(kCount);
    communicator.reduce_scatter(mine.data(), sum.data(), kCount, hw::DType::fp32);
    const auto begin = wanted.begin() + transport.rank() * kCount;
    EXPECT_EQ(sum, std::vector<float>(begin, begin + kCount));
  });
}

// A ring's order differs from chunk to chunk, but all ranks get the same chunk from the rank that summed it.
TEST_P(DeterministicSum, OtherModesStillGiveAllRanksTheSameBits) {
  const int ranks = GetParam();
  constexpr std::int64_t kCount = 1003;
  for (const std::size_t small : {std::size_t{0}, kAlways}) {
    std::vector<std::vector<float>> sums(static_cast<std::size_t>(ranks), std::vector<float>(kCount));
    exec::run_thread_ranks(ranks, [&](Transport& transport) {
      CpuCommunicator communicator(transport, everyone(transport),
                                   {.small_payload_bytes = small, .segment_bytes = 256, .deterministic = false});
      const std::vector<float> mine = contribution(transport.rank(), kCount);
      communicator.all_reduce(mine.data(), sums[static_cast<std::size_t>(transport.rank())].data(), kCount,
                              hw::DType::fp32);
    });
    for (const std::vector<float>& each : sums) EXPECT_EQ(each, sums[0]);
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, DeterministicSum, testing::Values(2, 3, 4, 5, 8));

// ---- Groups ----

TEST(Groups, OfDisjointRanksWorkBesideEachOtherInTheirOwnOrder) {
  exec::run_thread_ranks(4, [](Transport& transport) {
    const int row = transport.rank() / 2, column = transport.rank() % 2;
    CpuCommunicator tp(transport, {.id = row, .name = "tp", .ranks = {2 * row, 2 * row + 1}});
    CpuCommunicator dp(transport, {.id = 2 + column, .name = "dp", .ranks = {column + 2, column}});  // 2 or 3 first
    EXPECT_EQ(dp.rank(), 1 - row);
    std::int32_t sum = transport.rank();
    tp.all_reduce(&sum, &sum, 1, hw::DType::int32);  // 0 + 1, 2 + 3
    EXPECT_EQ(sum, row == 0 ? 1 : 5);
    std::int32_t rows[2] = {};
    dp.all_gather(&sum, rows, 1, hw::DType::int32);
    EXPECT_EQ(rows[0], 5);
    EXPECT_EQ(rows[1], 1);
  });
}

TEST(Groups, RefuseARankThatIsNotInThem) {
  const auto outside = [](Transport& transport) {
    CpuCommunicator(transport, {.id = 0, .name = "tp", .ranks = {0, 1}});
  };
  EXPECT_THROW(exec::run_thread_ranks(3, outside), std::invalid_argument);
}

TEST(Groups, OnTheSameRanksMayBeUsedByTwoThreads) {
  exec::run_thread_ranks(2, [](Transport& transport) {
    const auto reduce_often = [&](int id) {
      CpuCommunicator communicator(transport, {.id = id, .name = "g" + std::to_string(id), .ranks = {0, 1}});
      for (int i = 0; i < 200; ++i) {
        std::int64_t sum = i + id;
        communicator.all_reduce(&sum, &sum, 1, hw::DType::int64);
        EXPECT_EQ(sum, 2 * (i + id));
      }
    };
    std::jthread other(reduce_often, 1);
    reduce_often(2);
  });
}

TEST(Formats, OtherThanTheFiveAreRefused) {
  const auto with_fp8 = [](Transport& transport) {
    CpuCommunicator communicator(transport, everyone(transport));
    std::byte data{};
    communicator.broadcast(&data, 1, hw::DType::fp8, 0);
  };
  EXPECT_THROW(exec::run_thread_ranks(2, with_fp8), std::invalid_argument);
}

// ---- What goes wrong is said by all ranks ----

/// The error of each rank, empty for none.
std::vector<std::string> errors(int ranks, const CollectiveAlgorithms& algorithms,
                                const std::function<void(CpuCommunicator&)>& body) {
  std::vector<std::string> texts(static_cast<std::size_t>(ranks));
  exec::run_thread_ranks(ranks, [&](Transport& transport) {
    try {
      exec::RankGroup group = everyone(transport);
      group.name = "tp";
      CpuCommunicator communicator(transport, group, algorithms);
      body(communicator);
    } catch (const exec::TransportError& error) {
      texts[static_cast<std::size_t>(transport.rank())] = error.what();
    }
  });
  return texts;
}

void reduce(CpuCommunicator& communicator, std::int64_t count, hw::DType dtype = hw::DType::fp32) {
  std::vector<std::byte> data(static_cast<std::size_t>(count) * 8);
  communicator.all_reduce(data.data(), data.data(), count, dtype);
}

// Rank 0 differs from both its neighbours, and either may notice first; the first text goes to all.
TEST(Mismatch, OfKindsIsDescribedOnAllRanks) {
  const auto texts = errors(3, {.time_limit = 30s}, [](CpuCommunicator& communicator) {
    reduce(communicator, 5);
    std::vector<float> rows(3 * 64);
    if (communicator.rank() == 0) communicator.all_gather(rows.data(), rows.data(), 64, hw::DType::fp32);
    else reduce(communicator, 1024);
  });
  const std::string reduce_1024 = "all_reduce (sum, deterministic) of 1024 fp32 as call 2 of group tp";
  const std::string gather_64 = "rank 0 calls all_gather of 64 fp32 as call 2 of group tp";
  const std::vector<std::string> possible = {gather_64 + ", rank 2 calls " + reduce_1024,
                                             "rank 1 calls " + reduce_1024 + ", " + gather_64};
  for (const std::string& text : texts) {
    EXPECT_TRUE(text == possible[0] || text == possible[1]) << text;
    EXPECT_TRUE(text == texts[0] || texts[0] == possible[0] || texts[0] == possible[1]) << text;
  }
}

/// Rank 1 of two calls something else than rank 0: both see a text with both descriptions.
void expect_mismatch(const std::function<void(CpuCommunicator&)>& zero,
                     const std::function<void(CpuCommunicator&)>& one, const std::string& of_zero,
                     const std::string& of_one) {
  const auto texts = errors(
      2, {}, [&](CpuCommunicator& communicator) { communicator.rank() == 0 ? zero(communicator) : one(communicator); });
  for (const std::string& text : texts) {
    EXPECT_NE(text.find("rank 0 calls " + of_zero), std::string::npos) << text;
    EXPECT_NE(text.find("rank 1 calls " + of_one), std::string::npos) << text;
  }
}

TEST(Mismatch, OfCountsFormatsAndReductions) {
  const auto of = [](std::int64_t count, hw::DType dtype) {
    return [=](CpuCommunicator& communicator) { reduce(communicator, count, dtype); };
  };
  const auto maximum = [](CpuCommunicator& communicator) {
    float data = 0;
    communicator.all_reduce(&data, &data, 1, hw::DType::fp32, exec::Reduction::max);
  };
  expect_mismatch(of(1024, hw::DType::fp32), of(1000, hw::DType::fp32), "all_reduce (sum, deterministic) of 1024 fp32",
                  "all_reduce (sum, deterministic) of 1000 fp32");
  expect_mismatch(of(8, hw::DType::int32), of(8, hw::DType::fp32), "all_reduce (sum, deterministic) of 8 int32",
                  "all_reduce (sum, deterministic) of 8 fp32");
  expect_mismatch(of(1, hw::DType::fp32), maximum, "all_reduce (sum, deterministic) of 1 fp32",
                  "all_reduce (max, deterministic) of 1 fp32");
}

TEST(Mismatch, OfRootsAndOfCountsBetweenPeers) {
  const auto from_root = [](int root) {
    return [=](CpuCommunicator& communicator) {
      float data = 0;
      communicator.broadcast(&data, 1, hw::DType::fp32, root);
    };
  };
  expect_mismatch(from_root(0), from_root(1), "broadcast of 1 fp32 from root 0", "broadcast of 1 fp32 from root 1");
  const auto exchange = [](std::int64_t to_other) {
    return [=](CpuCommunicator& communicator) {
      const std::vector<float> from(8);
      std::vector<float> to(8);
      const std::vector<std::int64_t> two{2, 2};
      std::vector<std::int64_t> counts = two;
      counts[static_cast<std::size_t>(1 - communicator.rank())] = to_other;
      communicator.all_to_all(from.data(), counts, to.data(), two, hw::DType::fp32);
    };
  };
  expect_mismatch(exchange(2), exchange(3), "all_to_all of 2 fp32", "all_to_all of 3 fp32");
}

TEST(Mismatch, OfASendAndACollective) {
  const auto sends = [](CpuCommunicator& communicator) {
    float data = 0;
    communicator.send(&data, 1, hw::DType::fp32, 1);
  };
  expect_mismatch(
      sends, [](CpuCommunicator& communicator) { communicator.barrier(); }, "send/recv of 1 fp32 as call 1",
      "barrier as call 1 of group tp");
}

TEST(Failure, ARankThatEndsEarlyIsNamed) {
  const auto texts = errors(3, {.time_limit = 30s}, [](CpuCommunicator& communicator) {
    if (communicator.rank() != 1) reduce(communicator, 4);
  });
  EXPECT_EQ(texts[1], "");
  for (const std::string& text : {texts[0], texts[2]}) {
    EXPECT_NE(text.find("rank 1, which has ended in all_reduce (sum, deterministic) of 4 fp32 as call 1 of group tp"),
              std::string::npos)
        << text;
  }
}

TEST(Failure, ARankThatThrowsWakesTheOthersAndItsExceptionIsTheJobs) {
  std::atomic<int> woken = 0;
  const auto body = [&](Transport& transport) {
    CpuCommunicator communicator(transport, everyone(transport));
    if (transport.rank() == 2) throw std::domain_error("loss is not a number");
    try {
      reduce(communicator, 4);
    } catch (const exec::JobFailed& error) {
      EXPECT_EQ(std::string(error.what()), "rank 2 failed: loss is not a number");
      ++woken;
      throw;
    }
  };
  EXPECT_THROW(exec::run_thread_ranks(4, body), std::domain_error);
  EXPECT_EQ(woken, 3);
}

TEST(Failure, AStuckRankIsNamedAtTheTimeLimit) {
  const auto start = std::chrono::steady_clock::now();
  std::atomic<int> ended = 0;
  const auto texts = errors(3, {.time_limit = 50ms}, [&](CpuCommunicator& communicator) {
    if (communicator.rank() != 1) {
      ++ended;
      reduce(communicator, 4);
    }
    while (ended < 2) std::this_thread::yield();
    std::this_thread::sleep_for(200ms);
  });
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  for (const std::string& text : {texts[0], texts[2]}) {
    EXPECT_NE(text.find("rank 1, beyond the time limit in all_reduce (sum, deterministic) of 4 fp32 as call 1"),
              std::string::npos)
        << text;
  }
}

}  // namespace
}  // namespace exec_test
