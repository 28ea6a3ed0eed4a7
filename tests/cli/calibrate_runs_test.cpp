#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "hw/node.h"
#include "tests/cli/stepcast_process.h"

namespace cli::test {
namespace {

/// Rows of the reference file, from 0.
std::string reference_rows(const std::string& name, int from, int count) {
  std::istringstream reference(read(std::string(STEPCAST_SOURCE_DIR) + "/configs/runs/reference.jsonl"));
  std::string text, line;
  for (int i = 0; i < from + count && std::getline(reference, line); ++i)
    if (i >= from) text += line + "\n";
  const std::string path = scratch(name);
  write(path, text);
  return path;
}

/// Two parameters: what all rows tell, and a kernel that none of them runs.
std::string small_plan() {
  const std::string path = scratch("plan.json");
  write(path,
        R"({"parameters": [)"
        R"({"name": "clocks", "values": ["/devices/*/scalars/sustained/value"], "factor_spread": 0.2, "why": "t"},)"
        R"({"name": "triton", "values": ["/shared/scalars/triton_rate/value"], "factor_spread": 0.2, "why": "t"}]})");
  return path;
}

/// Median |log error| as validate prints it, from its rows.
double median_error(const std::string& file, const std::string& profile) {
  const Finished finished = stepcast({"validate", file, "--profile", profile, "--tier", "closed", "--json", "-"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  std::vector<double> errors;
  const hw::Node json = hw::Node::parse(finished.out, "stdout");
  for (const hw::Node& row : json.at("rows").elements())
    errors.push_back(std::abs(std::log(row.at("predicted_step_s").number() / row.at("measured_step_s").number())));
  EXPECT_EQ(errors.size(), 3U);
  std::sort(errors.begin(), errors.end());
  return errors[1];
}

TEST(CalibrateRuns, HelpNamesItsFlags) {
  const Finished help = stepcast({"calibrate", "runs", "--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* word : {"RUNS.jsonl", "--prior", "--plan", "--out", "--json"})
    EXPECT_NE(help.out.find(word), std::string::npos) << word;
}

// What it reports is what validate finds with the profiles before and after, row by row.
TEST(CalibrateRuns, WhatItWritesValidates) {
  const std::string file = reference_rows("three.jsonl", 8, 3), out = scratch("fitted_runs.json");
  const Finished fit = stepcast({"calibrate", "runs", file, "--plan", small_plan(), "--out", out, "--json", "-"});
  ASSERT_EQ(fit.status, 0) << fit.err;
  const hw::Node json = hw::Node::parse(fit.out, "stdout");
  EXPECT_EQ(json.keys(), (std::vector<std::string>{"rows", "before", "after", "scale", "parameters"}));
  EXPECT_EQ(json.at("rows").positive_int(), 3);
  EXPECT_NEAR(json.at("before").number(), median_error(file, "tables"), 1e-9);
  EXPECT_NEAR(json.at("after").number(), median_error(file, out), 1e-9);
  const auto parameters = json.at("parameters").elements();
  ASSERT_EQ(parameters.size(), 2U);
  EXPECT_EQ(parameters[0].keys(),
            (std::vector<std::string>{"name", "prior", "value", "low", "high", "identified", "learned", "why"}));
  EXPECT_TRUE(parameters[0].at("identified").boolean());
  EXPECT_FALSE(parameters[1].at("identified").boolean());
  const hw::Node written = hw::Node::read_file(out);
  EXPECT_EQ(parameters[1].at("value").number(),
            written.at("shared").at("scalars").at("triton_rate").at("value").number());
  EXPECT_EQ(parameters[1].at("value").number(), parameters[1].at("prior").number());

  const Finished text = stepcast({"calibrate", "runs", file, "--plan", small_plan()});
  EXPECT_EQ(text.status, 0);
  EXPECT_NE(text.out.find("no: prior kept"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("3 step times, 2 parameters, 1 of them identified\n"), std::string::npos) << text.out;
}

TEST(CalibrateRuns, RefusesWithThePlace) {
  const auto refused = [](const std::vector<std::string>& arguments) {
    const Finished finished = stepcast(arguments);
    EXPECT_EQ(finished.status, 2);
    EXPECT_EQ(finished.out, "");
    return finished.err;
  };
  EXPECT_EQ(refused({"calibrate", "runs"}), "error: calibrate runs: needs RUNS.jsonl, measured runs (docs/runs.md)\n");
  EXPECT_EQ(refused({"calibrate", "runs", "/no/such.jsonl"}), "error: /no/such.jsonl: no such file\n");
  write(scratch("bad_plan.json"), R"({"parameters": []})");
  EXPECT_EQ(refused({"calibrate", "runs", "/no/such.jsonl", "--plan", scratch("bad_plan.json")}),
            "error: " + scratch("bad_plan.json") + ": /parameters: must not be empty, got []\n");
}

TEST(CrossValidate, PrintsErrorsOfRowsNotSeen) {
  const std::string one = reference_rows("one.jsonl", 5, 3), two = reference_rows("two.jsonl", 8, 3);
  const std::vector<std::string> arguments{"validate",         one,      two,      "--tier",     "closed",
                                           "--cross-validate", "layout", "--plan", small_plan(), "--subset",
                                           "mine=" + two};
  const Finished finished = stepcast(arguments);
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_NE(finished.out.find("median / p90 / max |error|"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("80 % interval covers"), std::string::npos);
  EXPECT_NE(finished.out.find("layout ("), std::string::npos);
  EXPECT_NE(finished.out.find("\nmine"), std::string::npos);

  std::vector<std::string> as_json = arguments;
  as_json.insert(as_json.end(), {"--cross-validate", "model,file", "--json", "-"});
  const hw::Node cross = hw::Node::parse(stepcast(as_json).out, "stdout").at("cross_validation");
  EXPECT_EQ(cross.keys(), (std::vector<std::string>{"layout", "model", "file"}));
  EXPECT_EQ(cross.at("model").at("folds").positive_int(), 5);
  EXPECT_EQ(cross.at("file").at("folds").positive_int(), 2);
  for (const std::string& key : cross.keys()) {
    EXPECT_EQ(cross.at(key).keys(), (std::vector<std::string>{"folds", "predicted_step_s"}));
    EXPECT_EQ(cross.at(key).at("predicted_step_s").elements().size(), 6U);
  }
}

TEST(CrossValidate, RefusesPrecisely) {
  const std::string file = reference_rows("refused.jsonl", 9, 1);
  const auto refused = [&](const std::string& flag, const std::string& value) {
    const Finished finished = stepcast({"validate", file, flag, value});
    EXPECT_EQ(finished.status, 2);
    EXPECT_EQ(finished.out, "");
    return finished.err;
  };
  EXPECT_EQ(refused("--cross-validate", "layuot"),
            "error: --cross-validate: must be one of layout, model, system, release, framework, framework-model, file, "
            "got layuot (did you mean layout?)\n");
  EXPECT_EQ(refused("--cross-validate", "model,gpus"),
            "error: --cross-validate: must be one of layout, model, system, release, framework, framework-model, file, "
            "got gpus\n");
  EXPECT_EQ(refused("--subset", "mine"), "error: --subset: must be NAME=FILE,FILE..., got mine\n");
  EXPECT_EQ(refused("--subset", "=" + file), "error: --subset: must be NAME=FILE,FILE..., got =" + file + "\n");
  EXPECT_EQ(refused("--subset", "mine=other.jsonl"),
            "error: --subset: must name files of RUNS.jsonl, got other.jsonl\n");
  EXPECT_EQ(refused("--subset", "mine=" + file + ","), "error: --subset: must name files of RUNS.jsonl, got \n");
}

}  // namespace
}  // namespace cli::test
