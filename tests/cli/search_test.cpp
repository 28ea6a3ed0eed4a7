// `stepcast search` as a process: its answer, its JSON, shards and refusals.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/stepcast_process.h"

namespace cli {
namespace {

const std::vector<std::string> kSmall = {"search", "--model",     "llama3-8b",       "--system",    "h100",
                                         "--gpus", "8",           "--gbs",           "16",          "--seq",
                                         "8192",   "--framework", "megatron-bridge", "--precision", "bf16"};

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

nlohmann::json json_of(const std::string& file) {
  std::ifstream in(file);
  return nlohmann::json::parse(in);
}

TEST(SearchVerb, PrintsTheBestFirst) {
  const test::Finished done = test::stepcast(with(kSmall, {"--top", "3"}));
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.out.find("legal layouts"), std::string::npos) << done.out;
  EXPECT_NE(done.out.find("limited by"), std::string::npos) << done.out;
  EXPECT_TRUE(done.err.empty()) << done.err;
}

TEST(SearchVerb, TakesBf16WithoutAPrecision) {
  const std::vector<std::string> unsaid(kSmall.begin(), kSmall.end() - 2);
  const test::Finished done = test::stepcast(with(unsaid, {"--top", "3"}));
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out, test::stepcast(with(kSmall, {"--top", "3"})).out);
}

// Three shards, merged, are the whole search: the same layouts with the same numbers in the same order.
TEST(SearchVerb, MergesShards) {
  const std::string folder = testing::TempDir() + "/search_shards";
  std::filesystem::create_directories(folder);
  std::vector<std::string> merge = {"search", "--json", folder + "/merged.json", "--merge"};
  for (const std::string shard : {"1", "2", "3"}) {
    const std::string file = folder + "/" + shard + ".json";
    ASSERT_EQ(test::stepcast(with(kSmall, {"--shard", shard + "/3", "--json", file})).status, 0);
    merge.push_back(file);
  }
  ASSERT_EQ(test::stepcast(with(kSmall, {"--json", folder + "/whole.json", "--no-prune"})).status, 0);
  const test::Finished done = test::stepcast(merge);
  ASSERT_EQ(done.status, 0) << done.err;
  const nlohmann::json whole = json_of(folder + "/whole.json"), merged = json_of(folder + "/merged.json");
  EXPECT_EQ(whole["layouts"].size(), 50u);
  for (const char* list : {"layouts", "front", "misses"}) {
    ASSERT_EQ(whole[list].size(), merged[list].size()) << list;
    for (std::size_t i = 0; i < whole[list].size(); ++i) EXPECT_EQ(whole[list][i], merged[list][i]) << list << i;
  }
  EXPECT_EQ(whole["counts"]["legal"], merged["counts"]["legal"]);
  merge.pop_back();
  const test::Finished refused = test::stepcast(merge);
  EXPECT_EQ(refused.status, 2);
  EXPECT_NE(refused.err.find("/shard: must come with all other shards, 2 of 3 are there"), std::string::npos)
      << refused.err;
}

TEST(SearchVerb, ShowsRunsThatPredictReads) {
  const std::string folder = testing::TempDir() + "/search_run";
  std::filesystem::create_directories(folder);
  ASSERT_EQ(test::stepcast(with(kSmall, {"--json", folder + "/answer.json"})).status, 0);
  const nlohmann::json best = json_of(folder + "/answer.json")["layouts"][0];
  std::ofstream(folder + "/run.json") << best["run"].dump();
  ASSERT_EQ(test::stepcast({"predict", folder + "/run.json", "--json", folder + "/predicted.json"}).status, 0);
  EXPECT_EQ(json_of(folder + "/predicted.json")["step_time_s"], best["step_time_s"]);
}

TEST(SearchVerb, SaysNo) {
  const test::Finished done =
      test::stepcast({"search", "--model", "llama3.1-405b", "--system", "h100", "--gpus", "8", "--gbs", "8", "--seq",
                      "8192", "--framework", "megatron-bridge", "--precision", "bf16"});
  EXPECT_EQ(done.status, 1);
  EXPECT_NE(done.out.find("no layout fits"), std::string::npos) << done.out;
}

TEST(SearchVerb, RefusesBadInput) {
  const auto error = [](const std::vector<std::string>& arguments) {
    const test::Finished done = test::stepcast(arguments);
    EXPECT_EQ(done.status, 2);
    return done.err;
  };
  EXPECT_EQ(error({"search"}),
            "error: search: needs QUERY.json or --model (docs/search.md), or else --merge with answers\n");
  EXPECT_EQ(error(with(kSmall, {"--shard", "4/3"})), "error: --shard: must be i/n with i from 1 to n, got 4/3\n");
  EXPECT_EQ(error(with(kSmall, {"--gbs", "x"})), "error: --gbs: must be given once\n");
  EXPECT_EQ(error({"search", "--model", "llama3-8b", "--gpus", "8,x"}),
            "error: --gpus: must be a positive integer, got x\n");
  EXPECT_EQ(error({"search", "/nowhere.json"}), "error: /nowhere.json: no such file\n");
  EXPECT_EQ(error(with(kSmall, {"--objective", "speed"})).substr(0, 29), "error: flags: /objective: mus");
}

}  // namespace
}  // namespace cli
