#include "tuning/json_text.h"

#include <gtest/gtest.h>

namespace tuning {
namespace {

using recipes::Value;

TEST(JsonText, ValuesAreChangedInPlace) {
  const std::string text = "{ \"a\":1,\n\t\"s\" : \"x\\\"},{\", \"b\": {\"c\": [1, {\"d\": 2}], \"e\": null}}\n";
  EXPECT_EQ(with_changes(text, {{"/a", Value(2)}}),
            "{ \"a\":2,\n\t\"s\" : \"x\\\"},{\", \"b\": {\"c\": [1, {\"d\": 2}], \"e\": null}}\n");
  EXPECT_EQ(with_changes(text, {{"/b/c", Value("y")}}),
            "{ \"a\":1,\n\t\"s\" : \"x\\\"},{\", \"b\": {\"c\": \"y\", \"e\": null}}\n");
}

TEST(JsonText, MembersComeBehindTheLastInItsStyle) {
  EXPECT_EQ(with_changes("{\n  \"a\": 1,\n  \"b\": 2\n}", {{"/c", Value(true)}}),
            "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": true\n}");
  EXPECT_EQ(with_changes("{\"a\": 1}", {{"/b/c", Value(3)}}), "{\"a\": 1, \"b\": {\"c\": 3}}");
  EXPECT_EQ(with_changes("{\"a\": {}}", {{"/a/b", Value(3)}}), "{\"a\": {\"b\": 3}}");
}

TEST(JsonText, MembersGoWithTheirComma) {
  const std::string text = "{\"a\": 1, \"b\": 2, \"c\": 3}";
  EXPECT_EQ(with_changes(text, {{"/a", std::nullopt}}), "{\"b\": 2, \"c\": 3}");
  EXPECT_EQ(with_changes(text, {{"/b", std::nullopt}}), "{\"a\": 1, \"c\": 3}");
  EXPECT_EQ(with_changes(text, {{"/c", std::nullopt}}), "{\"a\": 1, \"b\": 2}");
  EXPECT_EQ(with_changes("{\"a\": 1}", {{"/a", std::nullopt}}), "{}");
  EXPECT_EQ(with_changes(text, {{"/d", std::nullopt}}), text);
}

TEST(JsonText, ChangesMakeOneObjectOfTheOther) {
  const std::string before = R"({"a": 1, "b": {"c": 2, "d": [1]}, "e": "x"})";
  const std::string after = R"({"a": 1, "b": {"c": 3}, "e": "x", "f": {"g": false}})";
  const auto value = [](const std::string& text) { return recipes::from_node(hw::Node::parse(text, "text")); };
  const std::string changed = with_changes(before, changes_between(value(before), value(after)));
  EXPECT_TRUE(value(changed) == value(after)) << changed;
}

}  // namespace
}  // namespace tuning
