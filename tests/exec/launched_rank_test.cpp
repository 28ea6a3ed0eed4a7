#include "exec/launched_rank.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

namespace exec {
namespace {

std::optional<LaunchedRank> in(const std::map<std::string, const char*>& environment) {
  return launched_rank([&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second;
  });
}

void expect(const std::optional<LaunchedRank>& launched, int rank, int size) {
  ASSERT_TRUE(launched);
  EXPECT_EQ(launched->rank, rank);
  EXPECT_EQ(launched->size, size);
}

TEST(LaunchedRank, IsReadFromEachLauncher) {
  expect(in({{"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "4"}}), 3, 4);
  expect(in({{"PMI_RANK", "0"}, {"PMI_SIZE", "1"}}), 0, 1);
  expect(in({{"SLURM_PROCID", "7"}, {"SLURM_STEP_NUM_TASKS", "8"}}), 7, 8);
}

// A batch script has SLURM_PROCID and SLURM_NTASKS without being a rank.
TEST(LaunchedRank, IsNoneForAProcessStartedAlone) {
  EXPECT_FALSE(in({}));
  EXPECT_FALSE(in({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}));
}

TEST(LaunchedRank, IsNoneWhereTheNumbersAreNone) {
  EXPECT_FALSE(in({{"PMI_RANK", "4"}, {"PMI_SIZE", "4"}}));
  EXPECT_FALSE(in({{"PMI_RANK", "1x"}, {"PMI_SIZE", "4"}}));
  EXPECT_FALSE(in({{"PMI_RANK", ""}, {"PMI_SIZE", "4"}}));
}

}  // namespace
}  // namespace exec
