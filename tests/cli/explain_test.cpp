// The answers of `stepcast explain`: what they hold and that they add up, as numbers and as printed.
#include "cli/explain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "cli/text_table.h"
#include "hw/input_error.h"
#include "hw/node.h"
#include "tests/cli/stepcast_process.h"
#include "tests/sim/published_runs.h"

namespace cli::test {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;
const std::string kMoe = "configs/runs/deepseek-v3-h100-1024.json", kDense = "configs/runs/llama3-70b-h100-64.json";

hw::Node json_of(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "explain");
  arguments.insert(arguments.end(), {"--json", "-"});
  const Finished finished = stepcast(arguments);
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_EQ(finished.err, "");
  return hw::Node::parse(finished.out, "stdout");
}

/// A published row as a description that predict and explain read, in a file.
std::string file_of(const hw::Node& row, int number) {
  std::string text;
  for (const std::string& key : row.keys())
    if (key != "measured" && row.has(key))
      text += (text.empty() ? "" : ", ") + ("\"" + key + "\": ") + row.at(key).dump();
  const std::string path = scratch("row" + std::to_string(number) + ".json");
  write(path, "{" + text + "}");
  return path;
}

/// Digits of `+12.30` without the point: whole units of the last one.
std::int64_t units(const std::string& number) {
  std::string digits;
  for (const char c : number)
    if (c != '.') digits += c;
  return std::stoll(digits);
}

/// A line of a printed waterfall: its last five words are A, B, B - A, share, reached.
std::vector<std::int64_t> numbers_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  std::vector<std::int64_t> numbers;
  for (std::size_t i = words.size() - 5; i < words.size(); ++i) numbers.push_back(units(words[i]));
  return numbers;
}

/// The lines of the table under `title`, the sum last.
std::vector<std::vector<std::int64_t>> table_of(const std::string& text, const std::string& title) {
  std::istringstream in(text.substr(text.find("\n" + title) + 1));
  std::vector<std::vector<std::int64_t>> rows;
  std::string line;
  std::getline(in, line);
  for (int rules = 0; std::getline(in, line) && !line.empty();) {
    if (line.starts_with("--")) {
      ++rules;
    } else {
      rows.push_back(numbers_of(line));
      if (rules == 2) break;
    }
  }
  return rows;
}

void expect_table_adds_up(const std::string& text, const std::string& title) {
  const auto rows = table_of(text, title);
  ASSERT_GE(rows.size(), 2u) << text;
  std::vector<std::int64_t> sums(4);
  for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
    EXPECT_EQ(rows[i][1] - rows[i][0], rows[i][2]) << title << " line " << i;
    for (std::size_t c = 0; c < sums.size(); ++c) sums[c] += rows[i][c];
    EXPECT_EQ(rows.back()[0] + sums[2], rows[i][4]) << title << " line " << i;
  }
  for (std::size_t c = 0; c < sums.size(); ++c) EXPECT_EQ(sums[c], rows.back()[c]) << title << " column " << c;
  EXPECT_EQ(rows.back()[1], rows.back()[4]);
}

TEST(Explain, PrintedDifferencesAddUpForPublishedRuns) {
  models::Library library({kRoot});
  const std::vector<hw::Node> rows = sim::published_rows(library, 23);
  std::vector<std::string> files;
  files.reserve(rows.size());
  for (const hw::Node& row : rows) files.push_back(file_of(row, static_cast<int>(files.size())));
  int compared = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    ExplainOptions options{
        .runs = {files[i], files[(i * 7 + 1) % files.size()]}, .what_if = {}, .json = "", .profile = ""};
    options.tier = "closed";
    try {
      const std::string text = explain(options, {kRoot}).out;
      expect_table_adds_up(text, "time of a step ");
      expect_table_adds_up(text, "memory of a GPU ");
      if (text.find("\nGPU time of") != std::string::npos) expect_table_adds_up(text, "GPU time of a million tokens ");
      ++compared;
    } catch (const hw::InputError&) {
      continue;  // one of the refused rows
    }
  }
  EXPECT_GE(compared, 20);
}

TEST(Explain, JsonHoldsTheDocumentedKeysAndAddsUp) {
  const hw::Node json = json_of({kMoe, kDense});
  EXPECT_EQ(json.keys(),
            (std::vector<std::string>{"a", "b", "description", "machine", "difference", "breakdown", "memory", "ops"}));
  EXPECT_EQ(
      json.at("difference").keys(),
      (std::vector<std::string>{"step_time_s", "share_of_a", "range80_shared_s", "range80_independent_s", "b_slower",
                                "tokens_per_s_per_gpu", "gpu_s_per_million_tokens", "mfu", "peak_gib"}));
  double sum = 0, memory = 0;
  for (const hw::Node& part : json.at("breakdown").elements()) {
    EXPECT_EQ(part.at("difference_s").number(), part.at("b_s").number() - part.at("a_s").number());
    sum += part.at("difference_s").number();
  }
  for (const hw::Node& kind : json.at("memory").elements()) memory += kind.at("difference_gib").number();
  const double step = json.at("difference").at("step_time_s").number();
  EXPECT_EQ(step, json.at("b").at("step_time_s").number() - json.at("a").at("step_time_s").number());
  EXPECT_NEAR(sum, step, 1e-10);
  EXPECT_NEAR(memory, json.at("difference").at("peak_gib").number(), 1e-10);
}

/// The same answer of predict, which lacks only file and what_if.
void expect_equals_prediction(const hw::Node& explained, const std::string& run) {
  const hw::Node predicted = hw::Node::parse(stepcast({"predict", run, "--json", "-"}).out, "stdout");
  for (const std::string& key : predicted.keys()) {
    ASSERT_EQ(explained.has(key), predicted.has(key)) << key;
    if (predicted.has(key)) {
      EXPECT_EQ(explained.at(key).dump(), predicted.at(key).dump()) << key;
    }
  }
}

TEST(Explain, BothRunsAreWhatPredictSays) {
  const hw::Node json = json_of({kMoe, kDense});
  expect_equals_prediction(json.at("a"), kMoe);
  expect_equals_prediction(json.at("b"), kDense);
}

TEST(Explain, TheSameFileTwiceChangesNothing) {
  const hw::Node json = json_of({kMoe, kMoe});
  EXPECT_EQ(json.at("a").dump(), json.at("b").dump());
  EXPECT_TRUE(json.at("description").elements().empty());
  EXPECT_TRUE(json.at("machine").elements().empty());
  EXPECT_EQ(json.at("difference").at("step_time_s").number(), 0);
  for (const hw::Node& op : json.at("ops").elements()) EXPECT_EQ(op.at("difference_s").number(), 0);
  const std::string text = stepcast({"explain", kMoe, kMoe}).out;
  expect_table_adds_up(text, "time of a step ");
  for (const char* words : {"what is described otherwise: nothing", "both are predicted equally fast", "no kind of op"})
    EXPECT_NE(text.find(words), std::string::npos) << words;
}

TEST(Explain, SaysWhatTheDescriptionsStateOtherwise) {
  write(scratch("other.json"), R"({"id": "other", "model": "llama3-70b", "system": "h100", "gpus": 64,
    "precision": "fp8-cs", "seq_len": 8192, "gbs": 128, "mbs": 1, "tp": 8, "pp": 4, "vp": 5, "sp": true,
    "framework": "megatron-bridge", "release": "26.04.01", "recompute": {"mode": "none"}, "notes": "of no matter"})");
  const hw::Node json = json_of({kDense, scratch("other.json")});
  std::string found;
  for (const hw::Node& change : json.at("description").elements()) {
    const auto text = [&change](const char* key) { return change.has(key) ? change.at(key).text() : "-"; };
    found += change.at("what").text() + " " + text("a") + " " + text("b") + "\n";
  }
  for (const char* change : {"tp 4 8\n", "pp 8 4\n", "gbs 256 128\n"})
    EXPECT_NE(found.find(change), std::string::npos) << change << "in " << found;
  for (const char* other : {"notes", "id", "model", "system"}) EXPECT_EQ(found.find(other), std::string::npos) << other;
  const std::string text = stepcast({"explain", kDense, scratch("other.json")}).out;
  expect_table_adds_up(text, "GPU time of a million tokens ");  // because the batches differ
}

TEST(Explain, NotFittingIsSaid) {
  write(scratch("large.json"), R"({"model": "llama3.1-405b", "system": "h100", "gpus": 8, "precision": "bf16",
    "seq_len": 4096, "gbs": 8, "mbs": 1, "tp": 8, "recompute": {"mode": "full"}})");
  const Finished finished = stepcast({"explain", scratch("large.json"), "--what-if", "memory=2000"});
  EXPECT_EQ(finished.status, 0);
  EXPECT_NE(finished.out.find("\nA does not fit: "), std::string::npos);
  EXPECT_EQ(finished.out.find("B does not fit: "), std::string::npos);
}

TEST(Explain, TextFits80Columns) {
  for (const auto& arguments : {std::vector<std::string>{"explain", kMoe, kDense},
                                {"explain", kMoe, "--what-if", "nic=x2,hbm=+50%", "--what-if", "system=gb300"}}) {
    std::istringstream in(stepcast(arguments).out);
    for (std::string line; std::getline(in, line);) EXPECT_LE(shown_width(line), 80u) << line;
  }
}

TEST(Explain, JsonGoesToAFileBesideTheText) {
  const std::string file = scratch("answer.json");
  const Finished finished = stepcast({"explain", kMoe, kDense, "--tier", "closed", "--json", file});
  EXPECT_NE(finished.out.find("time of a step"), std::string::npos);
  EXPECT_EQ(read(file), stepcast({"explain", kMoe, kDense, "--tier", "closed", "--json", "-"}).out);
}

void expect_refused(std::vector<std::string> arguments, const std::string& error) {
  arguments.insert(arguments.begin(), "explain");
  const Finished finished = stepcast(arguments);
  EXPECT_EQ(finished.status, 2);
  EXPECT_EQ(finished.out, "");
  EXPECT_EQ(finished.err, "error: " + error + "\n");
}

TEST(Explain, WrongInputIsOneLine) {
  const std::string needs = "explain: needs A.json and B.json, or A.json with --what-if (docs/explain.md)";
  expect_refused({}, needs);
  expect_refused({kMoe}, needs + ", got one run");
  expect_refused({kMoe, kMoe, kMoe}, "explain: compares two runs, got 3");
  expect_refused({kMoe, "/no/such.json"}, "/no/such.json: no such file");
  expect_refused({kMoe, "--what-if"}, "--what-if: needs CHANGE,...");
  expect_refused(
      {kMoe, "--what-if", "nik=x2", "--tier", "closd"},
      "--what-if nik=x2: no figure nik (did you mean nic?); there are system, flops, flops.fp64, flops.fp32, "
      "flops.tf32, flops.bf16, flops.fp16, flops.fp8, flops.fp4, sms, hbm, memory, host_link, "
      "gpus_per_node, nvlink_domain, nvlink, nic, oversubscription, host, nvlink_latency, nic_latency, "
      "send_latency, dispatch_latency, host_time");
  expect_refused({kMoe, kDense, "--tier", "closd"}, "--tier: must be one of closed, events, got closd");
  expect_refused({kMoe, "--what-if", "system=a100-80g"},
                 kMoe + ": /precision: must be a format that A100 SXM4 80GB computes in, got \"fp8-cs\"");
}

}  // namespace
}  // namespace cli::test
