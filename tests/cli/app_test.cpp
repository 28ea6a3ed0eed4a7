#include <gtest/gtest.h>

#include <string>

#include "cli/version.h"
#include "tests/cli/stepcast_process.h"

namespace cli::test {
namespace {

const std::string kRun = "configs/runs/gpt-oss-20b-h100-8.json";

void expect_refused(const std::vector<std::string>& arguments, const std::string& error) {
  const Finished finished = stepcast(arguments);
  EXPECT_EQ(finished.status, 2);
  EXPECT_EQ(finished.out, "");
  EXPECT_EQ(finished.err, "error: " + error + "\n");
}

TEST(App, NoVerbIsHelpAndBadInput) {
  const Finished finished = stepcast({});
  EXPECT_EQ(finished.status, 2);
  EXPECT_EQ(finished.out, "");
  EXPECT_NE(finished.err.find("predict"), std::string::npos);
}

TEST(App, HelpNamesVerbsAndFlags) {
  const Finished all = stepcast({"--help"});
  EXPECT_EQ(all.status, 0);
  for (const char* word : {"predict", "explain", "validate", "--data", "--version"})
    EXPECT_NE(all.out.find(word), std::string::npos) << word;
  const Finished predict = stepcast({"predict", "--help"});
  EXPECT_EQ(predict.status, 0);
  for (const char* word : {"RUN.json", "--json", "--timeline", "--explain", "--profile", "--tier"})
    EXPECT_NE(predict.out.find(word), std::string::npos) << word;
  const Finished explain = stepcast({"explain", "--help"});
  for (const char* word : {"A.json", "B.json", "--what-if", "--json", "--profile", "--tier"})
    EXPECT_NE(explain.out.find(word), std::string::npos) << word;
  const Finished validate = stepcast({"validate", "--help"});
  for (const char* word : {"RUNS.jsonl", "--json", "--fail-above", "--markdown", "--by", "--profile", "--tier",
                           "--cross-validate", "--subset", "--prior", "--plan"})
    EXPECT_NE(validate.out.find(word), std::string::npos) << word;
}

TEST(App, VersionIsThatOfTheBuild) {
  EXPECT_EQ(stepcast({"--version"}).out, std::string("stepcast ") + kVersion + "\n");
  const std::string build = read(std::string(STEPCAST_SOURCE_DIR) + "/CMakeLists.txt");
  EXPECT_NE(build.find(std::string("project(stepcast VERSION ") + kVersion + " "), std::string::npos);
}

TEST(App, AMisspeltVerbOrFlagSuggestsTheNearest) {
  expect_refused({"predit", kRun}, "unknown verb predit (did you mean predict?); see stepcast --help");
  expect_refused({"predict", "--jsn", "-", kRun}, "unknown flag --jsn (did you mean --json?)");
  expect_refused({"predict", kRun, "--dta=/tmp"}, "unknown flag --dta (did you mean --data?)");
  expect_refused({"validate", kRun, "--fail-abov", "1"}, "unknown flag --fail-abov (did you mean --fail-above?)");
  expect_refused({"predict", kRun, "-q"}, "unknown flag -q");
}

TEST(App, WrongArgumentsAreRefused) {
  expect_refused({"predict"}, "predict: needs RUN.json, the description of a run (docs/runs.md)");
  expect_refused({"validate"}, "validate: needs RUNS.jsonl, measured runs (docs/runs.md)");
  expect_refused({"predict", kRun, kRun}, "predict: unexpected argument " + kRun);
  expect_refused({"predict", kRun, "--tier", "closd"}, "--tier: must be one of closed, events, got closd");
  expect_refused({"predict", kRun, "--json"}, "--json: needs FILE|-");
  expect_refused({"predict", kRun, "--json", "-", "--json", "-"}, "--json: must be given once");
  expect_refused({"predict", kRun, "--timeline", "-"}, "--timeline: must be a file, got -");
  expect_refused({"validate", kRun, "--markdown", "-"}, "--markdown: must be a file, got -");
  expect_refused({"predict", kRun, "validate", kRun}, "one verb at a time, got predict and validate");
  expect_refused({"predict", kRun, "--timeline", scratch("t"), "--tier", "closed"}, "--timeline: needs --tier events");
  expect_refused({"predict", kRun, "--data", "/"}, "--data: must be a folder that holds hw/ and models/, got /");
}

TEST(App, WhatFollowsTwoDashesIsNoFlag) { EXPECT_EQ(stepcast({"predict", "--", kRun}).status, 0); }

TEST(App, OutputThatCannotBeWrittenIsAnError) {
  expect_refused({"predict", kRun, "--json", "/dev/full"}, "/dev/full: cannot be written: No space left on device");
  expect_refused({"predict", kRun, "--json", "/no/such/x"}, "/no/such/x: cannot be written: No such file or directory");
  const Finished full = stepcast({"predict", kRun}, ">/dev/full");
  EXPECT_EQ(full.status, 2);
  EXPECT_EQ(full.err, "error: stdout: cannot be written: No space left on device\n");
}

// The reader closes the pipe before anything is written: SIGPIPE would kill the verb, and its message would be noise.
TEST(App, AReaderThatLeavesIsNoError) {
  const Finished finished = stepcast({"validate", "configs/runs/reference.jsonl"}, "| { exec <&-; sleep 0.5; }");
  EXPECT_EQ(finished.err, "");
}

}  // namespace
}  // namespace cli::test
