#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hw/node.h"
#include "tests/cli/stepcast_process.h"

namespace cli::test {
namespace {

const std::string kFits = "configs/runs/gpt-oss-20b-h100-8.json";

/// Llama-3 405B on one node, nothing sharded but tensors: 8 TP ranks hold 101 GB of bf16 weights each.
std::string too_large() {
  const std::string path = scratch("too-large.json");
  write(path, R"({"id": "too \"large\"", "model": "llama3.1-405b", "system": "h100", "gpus": 8, "precision": "bf16",
    "seq_len": 4096, "gbs": 8, "mbs": 1, "tp": 8, "recompute": {"mode": "full"}, "overlap": {"no_such_key": 1}})");
  return path;
}

hw::Node json_of(const Finished& finished) { return hw::Node::parse(finished.out, "stdout"); }

double sum_of(const hw::Node& object) {
  double sum = 0;
  for (const std::string& key : object.keys()) sum += object.at(key).number();
  return sum;
}

TEST(Predict, JsonHoldsTheDocumentedKeysInOrder) {
  const Finished finished = stepcast({"predict", kFits, "--json", "-"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_EQ(finished.err, "");
  const hw::Node json = json_of(finished);
  EXPECT_EQ(json.keys(), (std::vector<std::string>{"id", "model", "system", "gpus", "step_time_s", "interval80_s",
                                                   "tflops_per_gpu", "mfu", "tokens_per_s_per_gpu", "memory", "fits",
                                                   "breakdown_s", "cost_origin", "assumed", "not_understood"}));
  EXPECT_EQ(json.at("memory").keys(),
            (std::vector<std::string>{"peak_gib", "by_kind", "available_gib", "stage", "moment"}));
  EXPECT_FALSE(json.has("id"));  // the file gives none
  EXPECT_EQ(json.at("model").text(), "gpt-oss-20b");
  EXPECT_EQ(json.at("system").text(), "h100");
  EXPECT_EQ(json.at("gpus").positive_int(), 8);
}

TEST(Predict, PartsAddUp) {
  const hw::Node json = json_of(stepcast({"predict", kFits, "--json", "-"}));
  const double step = json.at("step_time_s").positive();
  EXPECT_NEAR(sum_of(json.at("breakdown_s")) / step, 1, 1e-9);
  EXPECT_NEAR(sum_of(json.at("cost_origin")), 1, 1e-9);
  const double peak = json.at("memory").at("peak_gib").positive();
  EXPECT_NEAR(sum_of(json.at("memory").at("by_kind")) / peak, 1, 1e-9);
  const auto interval = json.at("interval80_s").elements();
  ASSERT_EQ(interval.size(), 2u);
  EXPECT_LE(interval[0].number(), step);
  EXPECT_GE(interval[1].number(), step);
  // 256 sequences of 4096 tokens on 8 GPUs
  EXPECT_NEAR(json.at("tokens_per_s_per_gpu").positive() * step, 256.0 * 4096 / 8, 1e-6 * 131072);
  // MFU is against 989 TFLOP/s, the dense bf16 peak of the H100 datasheet.
  EXPECT_NEAR(json.at("tflops_per_gpu").positive() / json.at("mfu").positive(), 989, 1);
}

TEST(Predict, TheSameInputGivesTheSameBytes) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"predict", kFits, "--explain"}, {"predict", kFits, "--json", "-"}})
    EXPECT_EQ(stepcast(arguments).out, stepcast(arguments).out);
}

TEST(Predict, TextSaysWhatAndHowSure) {
  const Finished finished = stepcast({"predict", kFits});
  EXPECT_EQ(finished.status, 0);
  for (const char* word : {"gpt-oss-20b", "step time", "80 % interval", "tokens/s/GPU", "TFLOP/s/GPU", "MFU", "GiB",
                           "time of a step", "memory of a GPU", "costs rest on", "100.0 %"})
    EXPECT_NE(finished.out.find(word), std::string::npos) << word;
  const Finished explained = stepcast({"predict", kFits, "--explain"});
  EXPECT_EQ(explained.out.find(finished.out), 0u);
  for (const char* word : {"speed of light", "exposed communication", "kept MiB"})
    EXPECT_NE(explained.out.find(word), std::string::npos) << word;
}

TEST(Predict, NotFittingIsAnAnswer) {
  const Finished finished = stepcast({"predict", too_large()});
  EXPECT_EQ(finished.status, 1);
  EXPECT_EQ(finished.err, "");
  EXPECT_NE(finished.out.find("does not fit: "), std::string::npos);
  EXPECT_NE(finished.out.find(" GiB missing"), std::string::npos);
  EXPECT_NE(finished.out.find("not understood"), std::string::npos);

  const Finished json = stepcast({"predict", too_large(), "--json", "-"});
  EXPECT_EQ(json.status, 1);
  const hw::Node answer = json_of(json);
  EXPECT_FALSE(answer.at("fits").boolean());
  EXPECT_EQ(answer.at("id").text(), "too \"large\"");
  EXPECT_GT(answer.at("memory").at("peak_gib").number(), answer.at("memory").at("available_gib").number());
  ASSERT_EQ(answer.at("not_understood").elements().size(), 1u);
  EXPECT_NE(answer.at("not_understood").elements()[0].text().find("no_such_key"), std::string::npos);
}

TEST(Predict, JsonGoesToAFileBesideTheText) {
  const std::string file = scratch("answer.json");
  const Finished finished = stepcast({"predict", kFits, "--json", file});
  EXPECT_NE(finished.out.find("step time"), std::string::npos);
  EXPECT_EQ(read(file), stepcast({"predict", kFits, "--json", "-"}).out);
}

TEST(Predict, TimelineIsAChromeTrace) {
  const std::string file = scratch("trace.json");
  EXPECT_EQ(stepcast({"predict", kFits, "--timeline", file}).status, 0);
  const hw::Node trace = hw::Node::parse(read(file), "trace");
  EXPECT_FALSE(trace.at("traceEvents").elements().empty());
  EXPECT_TRUE(trace.at("stepcast").has("program_hash"));
}

TEST(Predict, WrongInputIsOneLine) {
  const Finished missing = stepcast({"predict", "/no/such.json"});
  EXPECT_EQ(missing.status, 2);
  EXPECT_EQ(missing.err, "error: /no/such.json: no such file\n");
  EXPECT_EQ(stepcast({"predict", "configs"}).err, "error: configs: is a directory, not a file\n");
  write(scratch("empty.json"), "");
  EXPECT_EQ(stepcast({"predict", scratch("empty.json")}).err, "error: " + scratch("empty.json") + ": is empty\n");
  EXPECT_EQ(stepcast({"predict", kFits, "--profile", "/no/such.json"}).status, 2);
}

}  // namespace
}  // namespace cli::test
