// What queries and framework descriptions may say, and how they are refused.
#include "search/query.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "hw/input_error.h"
#include "hw/node.h"
#include "models/run.h"
#include "search/condition.h"
#include "search/framework.h"
#include "search/space.h"

namespace search {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;
const std::string kBase = R"("model": "llama3-8b", "system": "h100", "precision": "bf16", "seq_len": 8192, "gbs": 16)";

std::string refusal(const std::string& members) {
  models::Library library({kRoot});
  try {
    const Query query = parse_query(hw::Node::parse("{" + kBase + members + "}", "q.json"), library);
    const Space space(query, library);
    return "accepted";
  } catch (const hw::InputError& error) {
    return error.what();
  }
}

TEST(Query, RefusesByPlaceAndRule) {
  EXPECT_EQ(refusal(R"(, "gpus": 8)"), "accepted");
  EXPECT_EQ(refusal(""), "q.json: /: missing key \"gpus\"");
  EXPECT_EQ(refusal(R"(, "gpus": [])"), "q.json: /gpus: must name at least one value, got []");
  EXPECT_EQ(refusal(R"(, "gpus": {"min": 8, "max": 4})"), "q.json: /gpus/max: must be at least min (8), got 4");
  EXPECT_EQ(refusal(R"(, "gpus": 8, "gpu": 9)").substr(0, 27), "q.json: /: unknown key \"gpu");
  EXPECT_EQ(refusal(R"(, "gpus": 8, "space": {"dp": [2]})"),
            "q.json: /space/dp: is no dimension of a search (docs/search.md), got [2]");
  EXPECT_EQ(refusal(R"(, "gpus": 8, "space": {"tp": [0]})"), "q.json: /space/tp/0: must be a positive integer, got 0");
  EXPECT_EQ(refusal(R"(, "gpus": 8, "forbid": [{"microbatch": 1}])"),
            "q.json: /forbid/0/microbatch: is no variable of a layout (did you mean \"microbatches\"?), got 1");
  EXPECT_EQ(refusal(R"(, "gpus": 8, "objective": "cost")"),
            "q.json: /objective: needs price_per_gpu_hour, got \"cost\"");
  EXPECT_EQ(refusal(R"(, "gpus": 8, "goal": {"tokens": 1e12})"), "q.json: /goal: missing key \"days\"");
  EXPECT_EQ(refusal(R"(, "gpus": 8, "memory_margin": 1)"),
            "q.json: /memory_margin: must be a share of the GPU's memory below 1, got 1");
  EXPECT_EQ(refusal(R"(, "gpus": 8, "space": {"zero": [4]})"),
            "q.json: /space/zero/0: must be a ZeRO stage, 0 to 3, got 4");
  EXPECT_EQ(refusal(R"(, "gpus": 8, "ga": 2)"),
            "q.json: /ga: follows from the layout, and must not be stated in a query, got 2");
  EXPECT_EQ(refusal(R"(, "gpus": 8, "space": {"precision": ["nvfp4"]})"),
            "q.json: /precision: must be a format that H100 SXM5 80GB computes in, got \"nvfp4\"");
}

TEST(Query, TakesValuesFromPinThenTopLevelThenSpaceThenFramework) {
  models::Library library({kRoot});
  const auto query = [&](const std::string& members) {
    return parse_query(hw::Node::parse("{" + kBase + R"(, "gpus": 8)" + members + "}", "q.json"), library);
  };
  EXPECT_FALSE(query("").dimensions.tp.has_value());
  EXPECT_EQ(query(R"(, "space": {"tp": [4, 2, 2]})").dimensions.tp, (std::vector<int>{2, 4}));
  EXPECT_EQ(query(R"(, "space": {"tp": [4, 2]}, "tp": 8)").dimensions.tp, std::vector<int>{8});
  EXPECT_EQ(query(R"(, "pin": {"tp": 1}, "tp": 8)").dimensions.tp, std::vector<int>{1});
  EXPECT_EQ(query("").settings.size(), 3u);  // the generic framework's kinds of recompute
  EXPECT_EQ(query(R"(, "recompute": {"mode": "full"})").settings.size(), 1u);
  EXPECT_EQ(query(R"(, "space": {"precision": ["bf16", "fp8"]})").settings.size(), 6u);
  EXPECT_EQ(query(R"(, "objective": "cost", "price_per_gpu_hour": {"h100": 3})").price.at("h100"), 3);
}

TEST(Query, GpusDoubleOrAdd) {
  models::Library library({kRoot});
  const auto gpus = [&](const std::string& value) {
    return parse_query(hw::Node::parse("{" + kBase + R"(, "gpus": )" + value + "}", "q.json"), library).gpus;
  };
  EXPECT_EQ(gpus("8"), std::vector<int>{8});
  EXPECT_EQ(gpus("[16, 8]"), (std::vector<int>{8, 16}));
  EXPECT_EQ(gpus(R"({"min": 8, "max": 40})"), (std::vector<int>{8, 16, 32}));
  EXPECT_EQ(gpus(R"({"min": 8, "max": 40, "step": 16})"), (std::vector<int>{8, 24, 40}));
}

TEST(Framework, AllDescriptionsAreRead) {
  int read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kRoot + "/configs/frameworks")) {
    const Framework framework = parse_framework(hw::Node::read_file(entry.path()));
    EXPECT_EQ(framework.name + ".json", entry.path().filename());
    EXPECT_GT(framework.memory_margin, 0) << framework.name;
    EXPECT_LT(framework.memory_margin, 0.2) << framework.name;
    ++read;
  }
  EXPECT_GE(read, 9);
  EXPECT_EQ(read_framework("unheard-of", {kRoot}).name, "generic");
}

/// Every combination of a few values, each asked of parse_run alone, against what the space lists.
TEST(Space, HoldsAllThatRunDescriptionsAndRulesAllow) {
  models::Library library({kRoot});
  const hw::Node node = hw::Node::parse(R"({"model": "qwen3-30b-a3b", "system": "h100", "framework": "megatron-bridge",
      "precision": "bf16", "seq_len": 4096, "gbs": 32, "gpus": 16, "recompute": {"mode": "none"},
      "space": {"vp": [1, 2, 3], "cp_comm_type": ["p2p"], "mbs": [1, 2, 3]}})",
                                        "q.json");
  const Query query = parse_query(node, library);
  const Space space(query, library);
  long listed = 0;
  for (const Group& group : space.groups()) {
    models::Run run = space.setting(group.setting).base();
    space.each(group, run, [&](const models::LayoutKeys&, const models::Run&) { ++listed; });
  }
  const models::OpenRun open(query.settings.front(), library);
  models::Run run = open.base();
  long legal = 0;
  const auto sizes = {1, 2, 3, 4, 5, 6, 8, 16, 32};
  for (const int tp : sizes)
    for (const int pp : sizes)
      for (const int cp : sizes)
        for (const int ep : sizes)
          for (const int etp : {1, 2, 3, 4, 6, 8, 12, 16})
            for (const int mbs : {1, 2, 3})
              for (const int vp : {1, 2, 3})
                for (const bool sp : {false, true})
                  for (const int fsdp : {0, 2, 4, 8, 16})
                    for (int zero = 0; zero < 4; ++zero) {
                      if (sp && tp == 1) continue;  // nothing to divide
                      models::LayoutKeys keys{
                          .gpus = 16,
                          .tp = tp,
                          .pp = pp,
                          .vp = vp,
                          .cp = cp,
                          .ep = ep,
                          .etp = etp,
                          .sp = sp,
                          .fsdp = fsdp,
                          .zero = static_cast<models::Zero>(zero),
                          .schedule = vp > 1 ? models::Schedule::interleaved : models::Schedule::one_f_one_b,
                          .mbs = mbs};
                      if (open.lay_out(keys, run) || !allowed(query.framework.rules, run)) continue;
                      const models::Layout& l = run.layout;
                      if (fsdp > 0 && fsdp != l.dp * l.cp) continue;  // the framework's space: none or all
                      const bool alone = l.dp * l.cp == 1 && l.expert_dp() == 1;
                      legal += zero == 1 && alone ? 0 : 1;  // the same layout as zero 0
                    }
  EXPECT_EQ(listed, legal);
  EXPECT_GT(legal, 100);
}

}  // namespace
}  // namespace search
