#include "exec/allocator.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace exec {
namespace {

TEST(Allocator, CountsLiveAndPeakBytesAsAskedFor) {
  Allocator allocator;
  Memory a = allocator.allocate(100);  // padded to 128
  {
    const Memory b = allocator.allocate(1);
    EXPECT_EQ(allocator.live_bytes(), 101U);
  }
  EXPECT_EQ(allocator.live_bytes(), 100U);
  EXPECT_EQ(allocator.peak_bytes(), 101U);
  allocator.reset_peak();
  EXPECT_EQ(allocator.peak_bytes(), 100U);
  a = Memory();
  EXPECT_EQ(allocator.live_bytes(), 0U);
}

TEST(Allocator, AlignsAndKeepsMovedMemoryOnce) {
  Allocator allocator;
  Memory a = allocator.allocate(3);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % Allocator::kAlignment, 0U);
  const std::byte* const data = a.data();
  const Memory b = std::move(a);
  EXPECT_EQ(b.data(), data);
  EXPECT_EQ(b.bytes(), 3U);
  EXPECT_EQ(allocator.live_bytes(), 3U);
}

TEST(Allocator, NoBytesAreNoMemory) {
  Allocator allocator(0);
  EXPECT_EQ(allocator.allocate(0).data(), nullptr);
}

// 100 and 128 bytes are both two cache lines.
TEST(Allocator, ReusesMemoryOfTheSamePaddedSize) {
  Allocator allocator;
  const std::byte* const first = allocator.allocate(100).data();
  const Memory second = allocator.allocate(128);
  EXPECT_EQ(second.data(), first);
  EXPECT_EQ(allocator.live_bytes(), 128U);
}

TEST(Allocator, RefusesWhatIsBeyondTheLimit) {
  Allocator allocator(1000);
  const Memory most = allocator.allocate(900);
  try {
    allocator.allocate(101);
    ADD_FAILURE() << "allocated";
  } catch (const OutOfMemory& error) {
    EXPECT_EQ(error.needed, 101U);
    EXPECT_EQ(error.available, 100U);
    EXPECT_EQ(std::string(error.what()), "out of memory: needs 101 bytes, available are 100");
  }
  EXPECT_EQ(allocator.allocate(100).bytes(), 100U);
}

TEST(Allocator, KeptMemoryDoesNotCountAgainstTheLimit) {
  Allocator allocator(1000);
  allocator.allocate(1000);
  EXPECT_EQ(allocator.allocate(500).bytes(), 500U);
  allocator.release_kept();
  EXPECT_EQ(allocator.allocate(1000).bytes(), 1000U);
}

TEST(Allocator, ServesManyThreads) {
  Allocator allocator;
  {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&allocator, t] {
        for (std::size_t i = 1; i < 200; ++i) {
          const Memory memory = allocator.allocate(i);
          memory.data()[i - 1] = static_cast<std::byte>(t);
          EXPECT_EQ(memory.data()[i - 1], static_cast<std::byte>(t));
        }
      });
    }
  }
  EXPECT_EQ(allocator.live_bytes(), 0U);
}

}  // namespace
}  // namespace exec
