#include "calibration/csv_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "hw/input_error.h"

namespace calibration {
namespace {

std::filesystem::path file_with(const std::string& text) {
  const auto path = std::filesystem::temp_directory_path() / ("csv_table_test_" + std::to_string(getpid()) + ".csv");
  std::ofstream(path) << text;
  return path;
}

std::string refusal(const std::function<void()>& act, const std::filesystem::path& path) {
  try {
    act();
  } catch (const hw::InputError& error) {
    const std::string text = error.what();
    return text.substr(text.find(path.filename().string()) + path.filename().string().size());
  }
  return "accepted";
}

TEST(CsvTable, ReadsNumbersAndQuotedTexts) {
  CsvTable table = CsvTable::read(file_with("a,b,c\r\n1,\"x, y\",2.5\r\n\n3,z,\n"));
  const std::size_t a = table.column("a"), b = table.column("b"), c = table.column("c");
  std::vector<std::string> rows;
  table.each_row([&](const CsvRow& row) {
    rows.push_back(std::to_string(row.positive_int(a)) + "|" + std::string(row.text(b)) + "|" +
                   (row.non_negative_if_stated(c) ? "stated" : "empty"));
  });
  EXPECT_EQ(rows, (std::vector<std::string>{"1|x, y|stated", "3|z|empty"}));
  EXPECT_TRUE(table.unused().empty());
}

TEST(CsvTable, TellsWhatNobodyAskedFor) {
  CsvTable table = CsvTable::read(file_with("a,b\n1,2\n"));
  table.column("b");
  EXPECT_EQ(table.unused(), std::vector<std::string>{"a"});
  EXPECT_FALSE(table.find("c"));
}

TEST(CsvTable, RefusesPrecisely) {
  const auto path = file_with("a,b\n1,2\n-1,x\n1,2,3\n");
  CsvTable table = CsvTable::read(path);
  const std::size_t a = table.column("a"), b = table.column("b");
  EXPECT_EQ(refusal([&] { table.each_row([&](const CsvRow& row) { row.positive_int(a); }); }, path),
            ":3: a: must be an integer from 1 to 2^40, got \"-1\"");
  EXPECT_EQ(refusal([&] { table.each_row([&](const CsvRow& row) { row.positive(b); }); }, path),
            ":3: b: must be a positive number, got \"x\"");
  EXPECT_EQ(refusal([&] { table.each_row([](const CsvRow&) {}); }, path), ":4: must have 2 fields, got 3");
  EXPECT_EQ(refusal([&] { table.column("c"); }, path), ":1: must have a column c, got a, b");
  const auto twice = file_with("a,a\n");
  EXPECT_EQ(refusal([&] { CsvTable::read(twice); }, twice), ":1: a: must be named once");
  const auto empty = file_with("");
  EXPECT_EQ(refusal([&] { CsvTable::read(empty); }, empty), ":1: must name the columns, got an empty line");
}

}  // namespace
}  // namespace calibration
