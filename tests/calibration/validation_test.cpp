#include "calibration/validation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace calibration {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = STEPCAST_SOURCE_DIR;

/// A row of the reference file, by its place from 0.
std::string reference_row(int index) {
  std::ifstream file(kSource / "configs/runs/reference.jsonl");
  std::string line;
  for (int i = 0; i <= index; ++i) std::getline(file, line);
  return line;
}

std::vector<ValidatedRow> validated(const std::string& text) {
  const fs::path file = fs::temp_directory_path() / ("stepcast-validation-" + std::to_string(getpid()) + ".jsonl");
  std::ofstream(file) << text;
  models::Library library({kSource});
  const auto profile = hw::Node::read_file(kSource / "calibration/profiles/default.json");
  auto rows = validate(std::array{file}, library, profile, sim::Tier::closed_form);
  fs::remove(file);
  return rows;
}

TEST(Validation, EveryReferenceRowIsPredicted) {
  models::Library library({kSource});
  const auto profile = hw::Node::read_file(kSource / "calibration/profiles/default.json");
  const auto rows = validate(std::array{kSource / "configs/runs/reference.jsonl"}, library, profile, sim::Tier::events);
  EXPECT_EQ(rows.size(), 11u);
  for (const ValidatedRow& row : rows) {
    EXPECT_TRUE(row.is_predicted()) << row.refused;
    EXPECT_GT(row.low.value, 0) << row.id;
    EXPECT_LE(row.low, row.predicted) << row.id;
    EXPECT_LE(row.predicted, row.high) << row.id;
    EXPECT_TRUE(row.rival.has_value()) << row.id;
  }
}

TEST(Validation, ABadLineIsReportedAndTheRestGoesOn) {
  const auto rows = validated(reference_row(0) + "\n{\"id\": \"broken\"\n\n" + reference_row(1) + "\n");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_TRUE(rows[0].is_predicted()) << rows[0].refused;
  EXPECT_EQ(rows[1].line, 2);
  EXPECT_NE(rows[1].refused.find(":2: "), std::string::npos) << rows[1].refused;
  EXPECT_TRUE(rows[2].is_predicted()) << rows[2].refused;
  EXPECT_EQ(rows[2].line, 4);
}

TEST(Validation, ARefusedRowKeepsWhatItStates) {
  const auto rows =
      validated(R"({"id": "odd", "model": "no-such", "system": "h100", "gpus": 8, "measured": {"step_time_s": 2.5}})"
                "\n");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_FALSE(rows[0].is_predicted());
  EXPECT_EQ(rows[0].id, "odd");
  EXPECT_EQ(rows[0].model, "no-such");
  EXPECT_EQ(rows[0].gpus, 8);
  EXPECT_DOUBLE_EQ(rows[0].measured.value, 2.5);
}

TEST(Validation, AnIdIsUsedOnce) {
  const auto rows = validated(reference_row(0) + "\n" + reference_row(0) + "\n");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_TRUE(rows[0].is_predicted());
  EXPECT_NE(rows[1].refused.find(":2: /id: must be unique in the file, line 1 has it, got \""), std::string::npos)
      << rows[1].refused;
}

}  // namespace
}  // namespace calibration
