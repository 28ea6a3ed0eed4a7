// `stepcast balance` as a process, and the questions of `stepcast search` that are no search.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/cli/stepcast_process.h"

namespace cli {
namespace {

using test::Finished;
using test::scratch;
using test::stepcast;

const std::string kRun = "configs/runs/deepseek-v3-h100-1024.json";

TEST(BalanceVerb, ShowsStagesBeforeAndAfter) {
  const Finished done = stepcast({"balance", kRun});
  EXPECT_EQ(done.status, 0) << done.err;
  for (const char* part : {"busiest stage above the mean", "ms a microbatch", "pipeline_model_parallel_layout = E"})
    EXPECT_NE(done.out.find(part), std::string::npos) << part << "\n" << done.out;
}

// What it writes is a run that predict forecasts as promised, and that cannot be placed better.
TEST(BalanceVerb, WritesARunThatPredictsAsPromised) {
  const std::string out = scratch("balanced.json"), json = scratch("balance.json"),
                    predicted = scratch("predicted.json");
  ASSERT_EQ(stepcast({"balance", kRun, "--out", out, "--json", json}).status, 0);
  ASSERT_EQ(stepcast({"predict", out, "--json", predicted}).status, 0);
  const nlohmann::json run = nlohmann::json::parse(test::read(json))["runs"][0];
  const nlohmann::json prediction = nlohmann::json::parse(test::read(predicted));
  EXPECT_EQ(run["after"]["step_time_s"], prediction["step_time_s"]);
  EXPECT_EQ(run["after"]["peak_gib"], prediction["memory"]["peak_gib"]);
  EXPECT_LE(run["after"]["step_time_s"], run["before"]["step_time_s"]);
  EXPECT_EQ(run["setting"]["value"], run["after"]["pp_layout"]);
  const Finished again = stepcast({"balance", out});
  EXPECT_NE(again.out.find("no better placement was found"), std::string::npos) << again.out;
}

TEST(BalanceVerb, OneStageHasNothingToPlace) {
  const Finished done = stepcast({"balance", "configs/runs/gpt-oss-20b-h100-8.json"});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.out.find("one stage, nothing to place"), std::string::npos) << done.out;
}

TEST(BalanceVerb, RefusesBadInput) {
  EXPECT_EQ(stepcast({"balance"}).err, "error: balance: needs RUN.json, the description of a run (docs/runs.md)\n");
  EXPECT_EQ(stepcast({"balance", kRun, kRun, "--out", "x.json"}).err, "error: --out: needs one run, got several\n");
  EXPECT_EQ(stepcast({"balance", "/nowhere.json"}).err, "error: /nowhere.json: no such file\n");
}

/// A small search over pipelines.
const std::string kQuery = R"({"model": "llama3-8b", "system": "h100", "gpus": 8, "framework": "FRAMEWORK",
    "precision": "bf16", "seq_len": 8192, "gbs": 32, "pin": {"pp": 4, "mbs": 1}, "rerank": 10, "stages": "balanced"})";

std::string query_for(const std::string& framework) {
  std::string text = kQuery;
  text.replace(text.find("FRAMEWORK"), 9, framework);
  const std::string file = scratch(framework + ".json");
  test::write(file, text);
  return file;
}

// The loss of a small model is heavy: balanced layouts are faster than any that the framework makes untold.
TEST(SearchVerb, BalancesStages) {
  const std::string balanced = scratch("balanced.json"), stack = scratch("stack.json"),
                    query = query_for("megatron-bridge");
  ASSERT_EQ(stepcast({"search", query, "--json", balanced}).status, 0);
  std::string text = test::read(query);
  text.replace(text.find("balanced"), 8, "stack");
  test::write(query, text);
  ASSERT_EQ(stepcast({"search", query, "--json", stack}).status, 0);
  const auto best = [](const std::string& file) { return nlohmann::json::parse(test::read(file))["layouts"][0]; };
  EXPECT_LT(best(balanced)["step_time_s"], best(stack)["step_time_s"]);
  EXPECT_TRUE(best(balanced)["run"]["extra"].contains("pp_layout"));
}

TEST(SearchVerb, BalancesOnlyWhatAFrameworkCanBeTold) {
  const std::string query = query_for("nemo");
  EXPECT_EQ(stepcast({"search", query}).err,
            "error: " + query +
                ": /stages: must be stack, as framework nemo cannot be told where layers lie, got \"balanced\"\n");
}

TEST(SearchVerb, SaysWhereRunsStand) {
  const std::string json = scratch("ranks.json"), markdown = scratch("ranks.md");
  const Finished done =
      stepcast({"search", "--rank-of", "configs/runs/llama3-8b-h100-8.json", "--json", json, "--markdown", markdown});
  EXPECT_EQ(done.status, 0) << done.out << done.err;
  const nlohmann::json run = nlohmann::json::parse(test::read(json))["runs"][0];
  EXPECT_GE(run["rank"], 1);
  EXPECT_LE(run["rank"], run["that_fit"]);
  EXPECT_TRUE(run["missing"].is_null());
  EXPECT_EQ(test::read(markdown).substr(0, 7), "| run |");
}

TEST(SearchVerb, ChecksItsShortcutsAndMeasuresItself) {
  const std::string query = scratch("small.json");
  test::write(query, R"({"model": "llama3-8b", "system": "h100", "gpus": 8, "precision": "bf16", "seq_len": 4096,
      "gbs": 16, "space": {"mbs": [1], "cp": [1]}})");
  const Finished checked = stepcast({"search", "--check", query});
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
  EXPECT_NE(checked.out.find("yes"), std::string::npos) << checked.out;
  const Finished measured = stepcast({"search", "--effort", query});
  EXPECT_EQ(measured.status, 0) << measured.err;
  EXPECT_NE(measured.out.find("layouts/s on one core"), std::string::npos) << measured.out;
}

TEST(ValidateVerb, WritesHowLayoutsAreOrdered) {
  const std::string order = scratch("order.md");
  ASSERT_EQ(stepcast({"validate", "configs/runs/published/zero_bubble.jsonl", "--order", order}).status, 0);
  const std::string text = test::read(order);
  EXPECT_NE(text.find("| zero_bubble.jsonl | 22 | 138 |"), std::string::npos) << text;
}

}  // namespace
}  // namespace cli
