#include "cli/text_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace cli {
namespace {

using Align = TextTable::Align;

TextTable two_columns() {
  TextTable table({{"name"}, {"s", Align::right}});
  table.add({"step of a long name", "1.5"});
  table.rule();
  table.add({"b", "12345.678"});
  return table;
}

TEST(TextTable, TextLeftNumbersRight) {
  EXPECT_EQ(two_columns().text(0),
            "name                         s\n"
            "------------------------------\n"
            "step of a long name        1.5\n"
            "------------------------------\n"
            "b                    12345.678\n");
}

TEST(TextTable, ANarrowOneBreaksTextButNeverNumbers) {
  const std::string text = two_columns().text(20);
  EXPECT_EQ(text,
            "name               s\n"
            "--------------------\n"
            "step of a        1.5\n"
            "long name\n"
            "--------------------\n"
            "b          12345.678\n");
  EXPECT_NE(two_columns().text(1).find("12345.678"), std::string::npos);
}

TEST(TextTable, MarkdownEscapesBars) {
  TextTable table({{"|e|"}, {"n", Align::right}});
  table.add({"a", "1"});
  EXPECT_EQ(table.markdown(), "| \\|e\\| | n |\n| --- | ---: |\n| a | 1 |\n");
}

TEST(TextTable, EmptyColumnsCanBeLeftOut) {
  TextTable table({{"a"}, {"b"}, {"c"}});
  table.add({"1", "", "3"});
  table.add({"", "", "6"});
  EXPECT_EQ(table.without_empty_columns().markdown(), "| a | c |\n| --- | --- |\n| 1 | 3 |\n|  | 6 |\n");
}

TEST(TextTable, NoColumnsAreNoText) {
  EXPECT_EQ(TextTable({}).text(0), "");
  TextTable table({{"a"}});
  EXPECT_EQ(table.without_empty_columns().text(40), "");
}

TEST(Wrapped, BreaksAtSpacesThenAtJointsThenWhereItMust) {
  EXPECT_EQ(wrapped("one two three", 8), (std::vector<std::string>{"one two", "three"}));
  EXPECT_EQ(wrapped("seed-deepseek-v3", 8), (std::vector<std::string>{"seed-", "deepseek", "-v3"}));
  EXPECT_EQ(wrapped("abcdefgh", 3), (std::vector<std::string>{"abc", "def", "gh"}));
  EXPECT_EQ(wrapped("", 3), std::vector<std::string>{""});
  EXPECT_EQ(shown_width("µ µ"), 3u);
}

}  // namespace
}  // namespace cli
