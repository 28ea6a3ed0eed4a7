#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "hw/node.h"
#include "tests/cli/stepcast_process.h"

namespace cli::test {
namespace {

const std::string kReference = "configs/runs/reference.jsonl";

/// The first row of the reference file, a line that is not JSON, a row that does not add up, the second row.
std::string mixed_file() {
  std::istringstream reference(read(std::string(STEPCAST_SOURCE_DIR) + "/" + kReference));
  std::string first, second;
  std::getline(reference, first);
  std::getline(reference, second);
  const std::string path = scratch("mixed.jsonl");
  write(path, first + "\nnot json\n" +
                  R"({"id": "odd", "model": "llama3-8b", "system": "h100", "gpus": 8, "precision": "bf16", )"
                  R"("seq_len": 8192, "gbs": 8, "mbs": 1, "tp": 3, )"
                  R"("measured": {"step_time_s": 1, "step_time_from": "printed"}})"
                  "\n" +
                  second + "\n");
  return path;
}

hw::Node json_of(const std::vector<std::string>& arguments) {
  return hw::Node::parse(stepcast(arguments).out, "stdout");
}

TEST(Validate, ABadLineIsToldAndTheRestGoesOn) {
  const Finished finished = stepcast({"validate", mixed_file()});
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_NE(finished.out.find("refused\n"), std::string::npos);
  EXPECT_NE(finished.out.find("mixed.jsonl:2"), std::string::npos);
  EXPECT_NE(finished.out.find("must be a multiple of"), std::string::npos);

  const hw::Node json = json_of({"validate", mixed_file(), "--json", "-"});
  const auto rows = json.at("rows").elements();
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_TRUE(rows[0].at("predicted_step_s").positive());
  EXPECT_FALSE(rows[1].has("id"));
  EXPECT_FALSE(rows[2].has("predicted_step_s"));
  EXPECT_TRUE(rows[2].at("refused").is_text());
  EXPECT_EQ(rows[2].at("measured_step_s").number(), 1);
  EXPECT_EQ(json.at("summary").at("n").positive_int(), 2);
  EXPECT_EQ(json.at("summary").at("refused").positive_int(), 2);
}

TEST(Validate, JsonHoldsTheDocumentedKeys) {
  const hw::Node json = json_of({"validate", kReference, "--json", "-"});
  EXPECT_EQ(json.keys(), (std::vector<std::string>{"rows", "summary", "by", "cross_validation"}));
  std::vector<std::string> figures{"n",
                                   "refused",
                                   "median_abs_error",
                                   "mean_abs_error",
                                   "p90_abs_error",
                                   "max_abs_error",
                                   "bias",
                                   "coverage80",
                                   "pairs",
                                   "pairs_right",
                                   "regret_mean",
                                   "regret_max",
                                   "memory_n",
                                   "memory_median_abs_error",
                                   "memory_max_abs_error"};
  EXPECT_EQ(json.at("summary").at("rival").keys(), figures);
  figures.push_back("rival");
  EXPECT_EQ(json.at("summary").keys(), figures);
  EXPECT_EQ(json.at("by").keys(), (std::vector<std::string>{"file", "framework", "model", "system", "family"}));
  for (const hw::Node& row : json.at("rows").elements()) {
    const double predicted = row.at("predicted_step_s").positive();
    EXPECT_NEAR(row.at("error").number(), predicted / row.at("measured_step_s").positive() - 1, 1e-12);
    EXPECT_EQ(row.at("interval80_s").elements().size(), 2u);
    EXPECT_FALSE(row.has("refused"));
  }
}

TEST(Validate, FailAboveDecidesTheStatus) {
  EXPECT_EQ(stepcast({"validate", kReference, "--fail-above", "1e9"}).status, 0);
  const Finished above = stepcast({"validate", kReference, "--fail-above", "0"});
  EXPECT_EQ(above.status, 1);
  EXPECT_NE(above.err.find("--fail-above: the median |error| is "), std::string::npos);
  EXPECT_EQ(stepcast({"validate", kReference, "--fail-above", "-1"}).status, 2);
  EXPECT_EQ(stepcast({"validate", kReference, "--fail-above", "nan"}).status, 2);
  EXPECT_EQ(stepcast({"validate", kReference, "--fail-above", "100000%"}).status, 0);
}

TEST(Validate, AFileWithoutAnyRowThatCanBePredictedSaysSo) {
  const std::string file = scratch("hopeless.jsonl");
  write(file, "[]\n");
  const Finished finished = stepcast({"validate", file});
  EXPECT_EQ(finished.status, 0);
  EXPECT_EQ(finished.err, "no row could be predicted: the reasons are above\n");
  EXPECT_NE(finished.out.find("hopeless.jsonl:1"), std::string::npos);
  EXPECT_EQ(stepcast({"validate", file, "--fail-above", "1"}).status, 1);
}

TEST(Validate, AFileThatCannotBeReadIsBadInput) {
  EXPECT_EQ(stepcast({"validate", kReference, "/no/such.jsonl"}).err, "error: /no/such.jsonl: no such file\n");
  EXPECT_EQ(stepcast({"validate", "configs"}).status, 2);
  write(scratch("empty.jsonl"), "");
  EXPECT_EQ(stepcast({"validate", scratch("empty.jsonl")}).status, 2);
}

TEST(Validate, GroupsByWhatIsAsked) {
  const hw::Node json = json_of({"validate", kReference, "--json", "-", "--by", "precision,task", "--by", "file"});
  EXPECT_EQ(json.at("by").keys(), (std::vector<std::string>{"precision", "task", "file"}));
  EXPECT_EQ(stepcast({"validate", kReference, "--by", "modell"}).err,
            "error: --by: must be one of framework, model, system, family, precision, task, file, got modell (did you "
            "mean model?)\n");
}

TEST(Validate, MarkdownHasNoAbsolutePath) {
  const std::string file = scratch("accuracy.md");
  EXPECT_EQ(stepcast({"validate", mixed_file(), "--markdown", file}).status, 0);
  const std::string text = read(file);
  EXPECT_NE(text.find("stepcast validate mixed.jsonl --markdown accuracy.md"), std::string::npos) << text;
  EXPECT_NE(text.find("## Refused rows"), std::string::npos);
  EXPECT_EQ(text.find(scratch("")), std::string::npos);
  EXPECT_EQ(text.find(STEPCAST_SOURCE_DIR), std::string::npos);
}

TEST(Validate, AnEmptyFileIsRefused) {
  for (const char* text : {"", "\n  \n", "\xef\xbb\xbf\r\n"}) {
    write(scratch("nothing.jsonl"), text);
    const Finished finished = stepcast({"validate", scratch("nothing.jsonl")});
    EXPECT_EQ(finished.status, 2);
    EXPECT_EQ(finished.err, "error: " + scratch("nothing.jsonl") + ": is empty\n");
    EXPECT_EQ(finished.out, "");
  }
}

TEST(Validate, TheOrderOfThreadsDoesNotShow) {
  const std::vector<std::string> arguments{"validate", kReference, "--json", "-"};
  const std::string first = stepcast(arguments).out;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(stepcast(arguments).out, first);
}

}  // namespace
}  // namespace cli::test
