// What-ifs whose outcome is known: of one resource only what rests on it changes, and by how much.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hw/machine_figure.h"
#include "hw/node.h"
#include "tests/cli/stepcast_process.h"

namespace cli::test {
namespace {

const std::string kMoe = "configs/runs/deepseek-v3-h100-1024.json", kDense = "configs/runs/llama3-8b-h100-8.json";

hw::Node what_if(const std::string& run, const std::string& changes) {
  const Finished finished = stepcast({"explain", run, "--what-if", changes, "--json", "-"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  return hw::Node::parse(finished.out, "stdout");
}

/// Seconds that a part of the breakdown takes more.
double change_of(const hw::Node& json, const std::string& name) {
  for (const hw::Node& part : json.at("breakdown").elements())
    if (part.at("part").text() == name) return part.at("difference_s").number();
  ADD_FAILURE() << "no part " << name;
  return 0;
}

// Llama-3 8B on one node: a memory-bound kernel takes bytes / (share of HBM) and a fixed overhead of some microseconds.
// Its tensors have 8,192 rows of 4,096 columns or more, 64 MB in bf16, of which the H100 moves 3.35 in a microsecond:
// the overhead is below a tenth of 20 us and more.
TEST(WhatIf, TwiceTheHbmHalvesWhatIsBoundByMemory) {
  const hw::Node json = what_if(kDense, "hbm=x2");
  int bound = 0;
  for (const hw::Node& op : json.at("ops").elements()) {
    if (op.at("a_bound").text() != "HBM") continue;
    ++bound;
    const double ratio = op.at("b_s").number() / op.at("a_s").number();
    EXPECT_GE(ratio, 0.5) << op.dump();
    EXPECT_LE(ratio, 0.55) << op.dump();
  }
  EXPECT_GE(bound, 5);
  EXPECT_EQ(change_of(json, "attention"), 0);
  EXPECT_EQ(change_of(json, "step_constant"), 0);
  for (const char* part : {"norm", "activation", "rope", "loss", "pointwise", "optimizer", "gemm"})
    EXPECT_LT(change_of(json, part), 0) << part;  // what they hid, host and transfers, may show more
}

// Twice the NIC: transfers that cross nodes take less, ops that do not take as long as before.
TEST(WhatIf, TwiceTheNicShortensTransfersOverItAndNothingElse) {
  const hw::Node json = what_if(kMoe, "nic=x2");
  constexpr double kLittle = 1e-3;  // of the step: beside shorter transfers other waits may show
  for (const hw::Node& op : json.at("ops").elements()) {
    if (op.at("a_bound").text() == "NIC") {
      EXPECT_LT(op.at("b_s").number(), 0.7 * op.at("a_s").number()) << op.dump();
    } else if (op.at("computes").boolean() || op.at("a_bound").text() == "NVLink") {
      EXPECT_EQ(op.at("difference_s").number(), 0) << op.dump();
    }
  }
  for (const char* part : {"exposed_ep", "exposed_p2p", "exposed_dp"}) EXPECT_LT(change_of(json, part), 0) << part;
  for (const hw::Node& part : json.at("breakdown").elements())
    EXPECT_LE(part.at("difference_s").number(), kLittle * json.at("a").at("step_time_s").number()) << part.dump();
  EXPECT_LT(json.at("difference").at("step_time_s").number(), 0);
}

// Nothing of an 8-GPU run leaves the node.
TEST(WhatIf, TheNicIsOfNoMatterInsideANode) {
  const hw::Node json = what_if(kDense, "nic=x2,nic_latency=x0.5,oversubscription=4");
  for (const hw::Node& part : json.at("breakdown").elements())
    EXPECT_EQ(part.at("difference_s").number(), 0) << part.dump();
  EXPECT_EQ(json.at("machine").elements().size(), 3u);
}

TEST(WhatIf, ASystemIsThatSystem) {
  const std::string text = read(std::string(STEPCAST_SOURCE_DIR) + "/" + kDense);
  const hw::Node on_b200 = hw::Node::parse(text, kDense).with({{"/system", std::string("b200")}});
  write(scratch("on-b200.json"), on_b200.dump());
  const hw::Node json = what_if(kDense, "system=b200");
  const hw::Node predicted =
      hw::Node::parse(stepcast({"predict", scratch("on-b200.json"), "--json", "-"}).out, "stdout");
  for (const std::string& key : predicted.keys()) {
    if (predicted.has(key)) {
      EXPECT_EQ(json.at("b").at(key).dump(), predicted.at(key).dump()) << key;
    }
  }
  EXPECT_EQ(json.at("description").elements().size(), 1u);
}

/// `FIGURE=x1` for every figure that the H100 states, and for those of the profile.
std::string every_figure_times_one() {
  const hw::Node h100 = hw::Node::read_file(std::string(STEPCAST_SOURCE_DIR) + "/hw/h100.json");
  std::string changes = "flops=x1,host=x86,system=h100";
  for (const hw::MachineFigure& figure : hw::machine_figures())
    if (hw::stated(figure, h100)) changes += "," + std::string(figure.name) + "=+0%";
  for (const hw::ProfileFigure& figure : hw::profile_figures()) changes += "," + std::string(figure.name) + "=x1";
  return changes;
}

TEST(WhatIf, TimesOneChangesNothingAtAll) {
  for (const std::string& run : {kMoe, kDense}) {
    const hw::Node json = what_if(run, every_figure_times_one());
    for (const std::string& key : json.at("a").keys()) {
      if (key == "what_if" || !json.at("a").has(key)) continue;
      EXPECT_EQ(json.at("b").at(key).dump(), json.at("a").at(key).dump()) << run << " " << key;
    }
    EXPECT_TRUE(json.at("machine").elements().empty());
    EXPECT_TRUE(json.at("description").elements().empty());
  }
}

TEST(WhatIf, ChangesTheSecondOfTwoRuns) {
  const Finished finished = stepcast({"explain", kDense, kMoe, "--what-if", "nic=x2", "--json", "-"});
  const hw::Node json = hw::Node::parse(finished.out, "stdout");
  const hw::Node alone = what_if(kMoe, "nic=x2");
  EXPECT_EQ(json.at("b").dump(), alone.at("b").dump());
  EXPECT_TRUE(json.at("a").at("what_if").elements().empty());
}

// A machine described in place with a name and figures of its own.
TEST(WhatIf, AMachineGivenInPlaceCanBeChanged) {
  const std::string root = STEPCAST_SOURCE_DIR;
  const hw::Node own = hw::Node::read_file(root + "/hw/h100.json").with({{"/name", std::string("own")}});
  const std::string text = read(root + "/" + kDense);
  const std::string named = "\"system\": \"h100\"";
  ASSERT_NE(text.find(named), std::string::npos);
  std::string run = text;
  run.replace(text.find(named), named.size(), "\"system\": " + own.dump());
  write(scratch("own.json"), run);
  const hw::Node json = what_if(scratch("own.json"), "flops=x2");
  EXPECT_LT(json.at("difference").at("step_time_s").number(), 0);
  EXPECT_EQ(json.at("b").at("system").text(), "own");
}

}  // namespace
}  // namespace cli::test
