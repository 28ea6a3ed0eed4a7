// The figures that the project promises on published runs (docs/accuracy.md). They may only get tighter.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "calibration/error_summary.h"
#include "calibration/validation.h"

namespace calibration {
namespace {

namespace fs = std::filesystem;

const fs::path kRuns = fs::path(STEPCAST_SOURCE_DIR) / "configs/runs";

std::vector<ValidatedRow> rows_of(std::initializer_list<const char*> names) {
  std::vector<fs::path> files;
  for (const char* name : names) files.push_back(kRuns / name);
  models::Library library({STEPCAST_SOURCE_DIR});
  const auto profile = hw::Node::read_file(fs::path(STEPCAST_SOURCE_DIR) / "calibration/profiles/default.json");
  return validate(files, library, profile, sim::Tier::events);
}

/// Architectures that are refused by name for now.
bool unsupported_architecture(const ValidatedRow& row) {
  return row.model == "deepseek-v4-flash" || row.model == "qwen3.5-35b-a3b";
}

TEST(Accuracy, ReferenceRows) {
  const auto rows = rows_of({"reference.jsonl"});
  const ErrorSummary errors = summarize(all_rows(rows)).prediction;
  EXPECT_EQ(errors.n, 11);
  EXPECT_LE(errors.median_abs, 0.10);
  EXPECT_LE(errors.max_abs, 0.30);
}

TEST(Accuracy, MegatronBridgeDfmAndAutoModel) {
  const auto rows = rows_of({"published/dfm.jsonl", "published/automodel.jsonl", "published/megatron_bridge.jsonl"});
  const auto refused = std::ranges::count_if(
      rows, [](const ValidatedRow& row) { return !row.is_predicted() && !unsupported_architecture(row); });
  const auto supported =
      std::ranges::count_if(rows, [](const ValidatedRow& row) { return !unsupported_architecture(row); });
  EXPECT_LT(static_cast<double>(refused), 0.03 * static_cast<double>(supported));
  const Summary summary = summarize(all_rows(rows));
  EXPECT_LE(summary.prediction.median_abs, 0.08);
  EXPECT_LT(summary.prediction.median_abs, summary.rival.median_abs) << "a constant MFU does better";
}

TEST(Accuracy, OtherStacksPredictEveryRow) {
  for (const char* file :
       {"published/llm_foundry.jsonl", "published/zero_bubble.jsonl", "published/recompute_paper.jsonl"}) {
    for (const ValidatedRow& row : rows_of({file})) EXPECT_TRUE(row.is_predicted()) << row.refused;
  }
}

class MemoryAccuracy : public testing::TestWithParam<const char*> {};

TEST_P(MemoryAccuracy, MedianOfEachFile) {
  const auto rows = rows_of({GetParam()});
  const ErrorSummary errors = summarize(all_rows(rows)).prediction;
  EXPECT_GT(errors.memory_n, 0);
  EXPECT_LE(errors.memory_median_abs, 0.08);
}

INSTANTIATE_TEST_SUITE_P(Files, MemoryAccuracy,
                         testing::Values("published/megatron_bridge.jsonl", "published/automodel.jsonl",
                                         "published/zero_bubble.jsonl"));

}  // namespace
}  // namespace calibration
