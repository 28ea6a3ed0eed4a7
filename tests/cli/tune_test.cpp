// `stepcast tune` on paper: recipes come back with another layout and nothing else changed.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "hw/node.h"
#include "tests/cli/stepcast_process.h"

namespace cli::test {
namespace {

namespace fs = std::filesystem;

const std::string kTitan = "configs/recipes/llama3-8b-h100-8.toml";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// Lines of either text that the other has not, by the longest common subsequence.
std::vector<std::string> different_lines(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::vector<int>> common(a.size() + 1, std::vector<int>(b.size() + 1, 0));
  for (std::size_t i = a.size(); i-- > 0;)
    for (std::size_t j = b.size(); j-- > 0;)
      common[i][j] = a[i] == b[j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
  std::vector<std::string> different;
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (a[i] == b[j]) ++i, ++j;
    else if (common[i + 1][j] >= common[i][j + 1]) different.push_back(a[i++]);
    else different.push_back(b[j++]);
  }
  different.insert(different.end(), a.begin() + static_cast<std::ptrdiff_t>(i), a.end());
  different.insert(different.end(), b.begin() + static_cast<std::ptrdiff_t>(j), b.end());
  return different;
}

/// Keys of a recipe that are understood, with their values.
std::map<std::string, std::string> understood(const std::string& recipe) {
  const hw::Node json = hw::Node::parse(stepcast({"recipe", "show", recipe, "--json", "-"}).out, "stdout");
  std::map<std::string, std::string> keys;
  for (const hw::Node& key : json.at("understood").elements()) keys[key.at("key").text()] = key.at("value").dump();
  return keys;
}

/// Words of the keys that are not the same in both recipes: `pipeline`, `pp_size`.
std::vector<std::string> changed_words(const std::string& before, const std::string& after) {
  const auto was = understood(before), is = understood(after);
  std::vector<std::string> words;
  const auto add = [&words](const std::string& key) {
    std::istringstream parts(key);
    for (std::string part; std::getline(parts, part, '.');) words.push_back(part);
  };
  for (const auto& [key, value] : was)
    if (!is.contains(key) || is.at(key) != value) add(key);
  for (const auto& [key, value] : is)
    if (!was.contains(key)) add(key);
  return words;
}

bool names_one_of(const std::string& line, const std::vector<std::string>& words) {
  return std::ranges::any_of(words, [&](const std::string& word) { return line.find(word) != std::string::npos; });
}

/// What a format has no key for stands in a comment.
bool is_stated_in_a_comment(const std::string& line) { return line.starts_with("# stepcast: "); }

/// `TP=8`: a shell variable that a changed key reads.
bool sets_variable(const std::string& line) {
  const std::size_t sign = line.find('=');
  return sign != std::string::npos && std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(sign),
                                                  [](unsigned char c) { return std::isupper(c) || c == '_'; });
}

class TuneRecipe : public testing::TestWithParam<std::string> {};

// What is proposed, what is written, and what is read again are one run; all lines that name no changed key stay.
TEST_P(TuneRecipe, ComesBackWithOnlyTheChangedKeysChanged) {
  const std::string recipe = GetParam();
  const std::string out = scratch(fs::path(recipe).filename().string()), json = scratch("tuned.json");
  const Finished done = stepcast({"tune", recipe, "--out", out, "--json", json, "--quiet", "--rerank", "10", "--space",
                                  "cp=1,2", "--space", "mbs=1,2,4"});
  ASSERT_LE(done.status, 1) << done.err;
  const hw::Node answer = hw::Node::read_file(json);
  ASSERT_EQ(answer.at("better").boolean(), done.status == 0);
  if (done.status == 1) {
    EXPECT_NE(done.out.find("no layout is faster than the recipe's\n"), std::string::npos) << done.out;
    EXPECT_FALSE(fs::exists(out));
    return;
  }
  const hw::Node after = answer.at("after");
  EXPECT_TRUE(after.at("fits").boolean());
  EXPECT_GT(answer.at("gain").number(), 0.01);
  EXPECT_LT(after.at("step_time_s").number(), answer.at("before").at("step_time_s").number());

  const std::string run = scratch("again.json"), predicted = scratch("predicted.json");
  ASSERT_EQ(stepcast({"recipe", "convert", out, "--to", "run", "--out", run}).status, 0);
  ASSERT_EQ(stepcast({"predict", run, "--json", predicted}).status, 0);
  EXPECT_EQ(hw::Node::read_file(predicted).at("step_time_s").number(), after.at("step_time_s").number());
  EXPECT_EQ(hw::Node::read_file(predicted).at("memory").at("peak_gib").number(), after.at("peak_gib").number());

  const std::vector<std::string> words = changed_words(recipe, out);
  for (const std::string& line : different_lines(lines_of(read(recipe)), lines_of(read(out))))
    EXPECT_TRUE(names_one_of(line, words) || sets_variable(line) || is_stated_in_a_comment(line)) << line;
}

std::vector<std::string> all_recipes() {
  std::vector<std::string> recipes;
  for (const auto& entry : fs::directory_iterator(fs::path(STEPCAST_SOURCE_DIR) / "configs/recipes"))
    recipes.push_back("configs/recipes/" + entry.path().filename().string());
  std::ranges::sort(recipes);
  return recipes;
}

INSTANTIATE_TEST_SUITE_P(Configs, TuneRecipe, testing::ValuesIn(all_recipes()), [](const auto& given) {
  std::string name = fs::path(given.param).filename().string();
  std::ranges::replace_if(
      name, [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
});

TEST(Tune, SaysWhatChangesAndWhy) {
  const Finished done = stepcast({"tune", kTitan, "--pin", "cp=1"});
  ASSERT_EQ(done.status, 0) << done.err;
  for (const char* words : {"legal layouts around it", "step time", "80 % interval", "faster, 80 % interval", "changed",
                            "recompute.mode  selective  none", "saved ms"})
    EXPECT_NE(done.err.find(words), std::string::npos) << words << "\n" << done.err;
  EXPECT_NE(done.out.find("mode = \"none\"  # none, selective or full\n"), std::string::npos) << done.out;
}

TEST(Tune, PinsAndForbids) {
  const std::string json = scratch("pinned.json"), out = scratch("pinned.toml");
  ASSERT_EQ(stepcast({"tune", kTitan, "--pin", "tp=2", "--forbid", "mbs=2,pp=1", "--forbid", R"({"cp": {"min": 2}})",
                      "--least-gain", "0", "--out", out, "--json", json})
                    .status /
                2,
            0);
  const hw::Node answer = hw::Node::read_file(json);
  if (!answer.at("better").boolean()) return;
  const hw::Node run = answer.at("after").at("run");
  EXPECT_EQ(run.at("tp").positive_int(), 2);
  EXPECT_NE(run.at("mbs").positive_int() == 2 && run.at("pp").positive_int() == 1, true);
}

// A run description comes back as it was written, but for what changes.
TEST(Tune, ARunKeepsItsTextToo) {
  const std::string run = scratch("run.json"), out = scratch("tuned_run.json");
  write(run, R"({
  "model": "llama3-8b",   "system": "h100",
  "gpus": 8, "gbs": 16,
  "framework": "megatron-bridge",
  "precision": "bf16", "seq_len": 8192,
  "tp": 8, "sp": true,
  "mbs": 1
}
)");
  const Finished done =
      stepcast({"tune", run, "--out", out, "--space", "pp=1", "--space", "cp=1", "--space", "fsdp=none", "--space",
                "mbs=1", "--space", "zero=0", "--pin", "sp=true", "--pin", R"(recompute={"mode": "none"})"});
  ASSERT_EQ(done.status, 0) << done.err << done.out;
  const std::vector<std::string> different = different_lines(lines_of(read(run)), lines_of(read(out)));
  // The line of tp, and the last member, behind which ZeRO 0 is stated: two ranks of data parallelism would have 1.
  EXPECT_EQ(different, (std::vector<std::string>{R"(  "tp": 8, "sp": true,)", R"(  "mbs": 1)",
                                                 R"(  "tp": 4, "sp": true,)", R"(  "mbs": 1,)", R"(  "zero": 0)"}))
      << read(out);
}

TEST(Tune, NothingBetterIsTheAnswerNo) {
  const std::string out = scratch("none.toml");
  const Finished done = stepcast({"tune", kTitan, "--least-gain", "500%", "--out", out});
  EXPECT_EQ(done.status, 1);
  EXPECT_NE(done.out.find("no layout is faster than the recipe's\n"), std::string::npos) << done.out;
  EXPECT_FALSE(fs::exists(out));
  const Finished missing = stepcast({"tune", "models/qwen3-8b.json", "--system", "h100"});
  EXPECT_EQ(missing.status, 2);
}

void expect_refused(const std::vector<std::string>& arguments, const std::string& error) {
  const Finished finished = stepcast(arguments);
  EXPECT_EQ(finished.status, 2);
  EXPECT_EQ(finished.out, "");
  EXPECT_EQ(finished.err, "error: " + error + "\n");
}

TEST(Tune, WrongInputIsRefused) {
  expect_refused({"tune"}, "tune: needs RECIPE, the file of a recipe or a run (docs/tune.md)");
  expect_refused({"tune", "no-such-file"}, "no-such-file: cannot be opened");
  expect_refused({"tune", kTitan, "--pin", "tp"}, "--pin: must be KEY=VALUE, got tp");
  expect_refused({"tune", kTitan, "--forbid", "tp=2,pp"}, "--forbid: must be KEY=VALUE, got pp");
  expect_refused({"tune", kTitan, "--pin", "tp=0"}, kTitan + ": /pin/tp: must be a positive integer, got 0");
  expect_refused({"tune", kTitan, "--rerank", "x"}, "--rerank: must be a positive integer, got x");
  expect_refused({"tune", kTitan, "--least-gain", "little"},
                 "--least-gain: must be a ratio or a percentage, such as 0.02 or 2%, got little");
  expect_refused({"tune", kTitan, "--json", "-"},
                 "--json: must be a file where the recipe goes to stdout (no --out), got -");
  expect_refused({"tune", kTitan, "--rounds", "2"}, "--rounds: needs --try N");
  expect_refused({"tune", kTitan, "--try", "2"},
                 kTitan + ": system: must be a CPU for --try without --command CMD, got h100");
  expect_refused({"tune", kTitan, "--try", "2", "--command", "train.sh"},
                 "--command: must name {recipe}, which stands for the file to run, got train.sh");
  expect_refused({"tune", kTitan, "--try", "2", "--command", "x {recipe}", "--step-time-pattern", "("},
                 "--step-time-pattern: must be a regular expression (ECMAScript), got (");
  expect_refused({"tune", "models/qwen3-8b.json"},
                 "models/qwen3-8b.json: must be a recipe, which has a layout, got the config.json of a model");
  expect_refused({"tune", "tests/recipes/malformed/zero_tp.yaml"},
                 "tests/recipes/malformed/zero_tp.yaml: line 5: model.tensor_model_parallel_size: must be a positive "
                 "integer, got 0");
}

}  // namespace
}  // namespace cli::test
