// `stepcast tune --try` with commands that stand for a training run: what they print decides, not the simulator.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hw/node.h"
#include "tests/cli/stepcast_process.h"

namespace cli::test {
namespace {

const std::string kTitan = "configs/recipes/llama3-8b-h100-8.toml";

/// An executable shell script that is given the recipe's path.
std::string fake(const std::string& name, const std::string& script) {
  const std::string path = scratch(name);
  write(path, "recipe=$1\n" + script);
  return "sh '" + path + "' {recipe} {gpus}";
}

/// Counts its calls in $calls.
std::string counting(const std::string& name) {
  const std::string file = scratch(name + ".calls");
  write(file, "");
  return "echo x >> '" + file + "'\ncalls=$(wc -l < '" + file + "')\n";
}

struct Tried {
  Finished finished;
  hw::Node tries;
  hw::Node answer;
};

/// Tries layouts of a small space around the recipe; its own is tp 1.
Tried tried(const std::string& most, const std::string& command, const std::vector<std::string>& more = {}) {
  const std::string json = scratch("tries.json");
  std::vector<std::string> arguments = {
      "tune",    kTitan,    "--try",   most,    "--command", command, "--out", scratch("tried.toml"),
      "--json",  json,      "--quiet", "--pin", "pp=1",      "--pin", "cp=1",  "--space",
      "mbs=1,2", "--space", "tp=1,2,4"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Finished finished = stepcast(arguments);
  EXPECT_LE(finished.status, 1) << finished.err;
  const hw::Node answer = hw::Node::read_file(json);
  return {finished, answer.at("tries"), answer};
}

// The simulator ranks all layouts of tp 2 behind others; the command says that they take a fifth less.
TEST(TuneTry, FindsWhatTheCommandMakesBest) {
  const std::string faster =
      fake("faster.sh", "grep -q 'tensor_parallel_degree = 2' \"$recipe\" && echo 0.8 || echo 1\n");
  const Tried found = tried("8", faster);
  EXPECT_EQ(found.finished.status, 0) << found.finished.err;
  EXPECT_EQ(found.answer.at("after").at("run").at("tp").positive_int(), 2);
  EXPECT_NE(read(scratch("tried.toml")).find("tensor_parallel_degree = 2"), std::string::npos);
  const std::vector<hw::Node> trials = found.tries.at("trials").elements();
  const hw::Node& pick = trials[static_cast<std::size_t>(found.tries.at("pick").number())];
  EXPECT_EQ(pick.at("measured_s").number(), 0.8);
  EXPECT_EQ(pick.at("to_recipe").number(), 0.8);
  EXPECT_LE(trials.size(), 9U);
  EXPECT_LT(trials[1].at("predicted_s").number(), pick.at("predicted_s").number());
  EXPECT_NEAR(pick.at("refitted_s").number(), 0.8, 0.05);  // what was measured is believed
}

// Everything but the recipe's own layout takes three times as long: after a few tries no other one is worth a run.
TEST(TuneTry, StopsWhenCertain) {
  const Tried stopped = tried("40", fake("thrice.sh", "cmp -s \"$recipe\" " + kTitan + " && echo 1 || echo 3\n"));
  EXPECT_EQ(stopped.finished.status, 1);
  EXPECT_EQ(stopped.tries.at("end").text(), "certain");
  EXPECT_EQ(stopped.tries.at("pick").number(), 0);
  EXPECT_LT(stopped.tries.at("trials").elements().size(), 20U);
  EXPECT_LE(stopped.tries.at("left").number(), 0.02);
  EXPECT_NE(stopped.finished.out.find("certain enough"), std::string::npos) << stopped.finished.out;
}

TEST(TuneTry, GoesOnAfterRunsThatFail) {
  const Tried found =
      tried("4",
            fake("failing.sh", counting("failing") + "case $calls in\n1) echo 2 ;;\n2) exit 3 ;;\n3) echo no time ;;\n"
                                                     "4) sleep 60 ;;\n*) echo 1.5 ;;\nesac\n"),
            {"--timeout", "1", "--enough", "0"});
  EXPECT_EQ(found.finished.status, 0) << found.finished.err;
  const std::vector<hw::Node> trials = found.tries.at("trials").elements();
  ASSERT_EQ(trials.size(), 5U);
  EXPECT_EQ(trials[1].at("failure").text(), "exit status 3");
  EXPECT_EQ(trials[2].at("failure").text(), "no line of stdout is a number");
  EXPECT_EQ(trials[3].at("failure").text(), "took longer than 1 s");
  EXPECT_FALSE(trials[3].has("measured_s"));
  EXPECT_EQ(trials[4].at("measured_s").number(), 1.5);
  EXPECT_EQ(found.tries.at("pick").number(), 4);
}

TEST(TuneTry, WithoutTheRecipesOwnTimeThereIsNoPick) {
  const Tried failed = tried("4", fake("broken.sh", "exit 1\n"));
  EXPECT_EQ(failed.finished.status, 1);
  EXPECT_EQ(failed.tries.at("end").text(), "recipe_failed");
  EXPECT_FALSE(failed.tries.has("pick"));
  EXPECT_EQ(failed.tries.at("trials").elements().size(), 1U);
}

TEST(TuneTry, ReadsTheStepTimeByAPattern) {
  const Tried found =
      tried("1", fake("pattern.sh", "echo 'step 1 took 9 s'; echo 'step 2 took 0.25 s'; echo 77; echo gpus $2\n"),
            {"--step-time-pattern", "took ([0-9.]+) s"});
  EXPECT_EQ(found.tries.at("trials").elements()[0].at("measured_s").number(), 0.25);
  const Tried last = tried("1", fake("last.sh", "echo 9; echo ' 1.5 '; echo done\n"));
  EXPECT_EQ(last.tries.at("trials").elements()[0].at("measured_s").number(), 1.5);
}

// Ctrl-C while the third layout runs: it ends at once, and the better one of the first two is the answer.
TEST(TuneTry, StopsWithTheBestSoFar) {
  const Tried stopped = tried(
      "9", fake("stopping.sh", counting("stopping") + "case $calls in\n1) echo 2 ;;\n2) echo 1 ;;\n"
                                                      "*) kill -INT $(ps -o ppid= -p $PPID); sleep 60 ;;\nesac\n"));
  EXPECT_EQ(stopped.finished.status, 0) << stopped.finished.err;
  EXPECT_EQ(stopped.tries.at("end").text(), "stopped");
  EXPECT_EQ(stopped.tries.at("pick").number(), 1);
  EXPECT_EQ(stopped.tries.at("trials").elements()[2].at("failure").text(), "stopped");
}

// With rounds, each layout takes turns with the recipe's own. The machine is twice as slow in every other round, and
// the ratio does not notice.
TEST(TuneTry, RatiosAreTakenInTurns) {
  const std::string slow = counting("turns") +
                           "slow=$(( (calls - 2) / 2 % 2 + 1 ))\n"
                           "if cmp -s \"$recipe\" " +
                           kTitan + "; then echo $((4 * slow)); else echo $((3 * slow)); fi\n";
  const Tried found = tried("1", fake("turns.sh", slow), {"--rounds", "4", "--check", "3"});
  const std::vector<hw::Node> trials = found.tries.at("trials").elements();
  ASSERT_EQ(trials.size(), 2U);
  EXPECT_EQ(trials[1].at("to_recipe").number(), 0.75);
  EXPECT_GE(found.answer.at("check").at("layouts").elements().size(), 2U);
}

// Real ranks; what they measure is not asked here.
TEST(TuneTry, TrainsOnThisMachine) {
  const std::string out = scratch("trained.json"), json = scratch("trained_tries.json");
  const Finished done = stepcast({"tune", "configs/tune/llama-2.json", "--try", "2", "--steps", "1", "--rounds", "1",
                                  "--out", out, "--json", json, "--space", "mbs=4", "--pin", "cp=1", "--pin", "vp=1"});
  ASSERT_LE(done.status, 1) << done.err;
  EXPECT_NE(done.err.find("running the recipe's own layout\n"), std::string::npos) << done.err;
  const hw::Node tries = hw::Node::read_file(json).at("tries");
  for (const hw::Node& trial : tries.at("trials").elements()) {
    if (trial.has("failure")) continue;
    EXPECT_GT(trial.at("measured_s").number(), 0);
    EXPECT_GT(trial.at("refitted_s").number(), 0);
  }
  EXPECT_TRUE(tries.has("pick"));
}

}  // namespace
}  // namespace cli::test
