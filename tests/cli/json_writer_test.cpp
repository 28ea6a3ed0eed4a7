#include "cli/json_writer.h"

#include <gtest/gtest.h>

#include <limits>

namespace cli {
namespace {

std::string one(const auto& value) {
  JsonWriter json;
  return json.value(value).text();
}

// RFC 8259, section 7: quotation mark, reverse solidus and control characters must be escaped.
TEST(JsonWriter, EscapesText) {
  EXPECT_EQ(one("a\"b\\c\n\t\r\x01\x7f"), "\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u007f\"\n");
  EXPECT_EQ(one("µ 目"), "\"µ 目\"\n");
}

TEST(JsonWriter, BytesThatAreNotUtf8BecomeTheReplacementCharacter) {
  EXPECT_EQ(one("a\xff"
                "b"),
            "\"a\xef\xbf\xbd"
            "b\"\n");
  EXPECT_EQ(one("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"\n");  // overlong
  EXPECT_EQ(one("\xe7\x9b"), "\"\xef\xbf\xbd\xef\xbf\xbd\"\n");  // cut short
}

TEST(JsonWriter, NumbersReadBackAsTheyWere) {
  EXPECT_EQ(one(0.1), "0.1\n");
  EXPECT_EQ(one(1.0 / 3), "0.3333333333333333\n");
  EXPECT_EQ(one(1e300), "1e+300\n");
  EXPECT_EQ(one(12), "12\n");
  EXPECT_EQ(one(std::numeric_limits<double>::quiet_NaN()), "null\n");
  EXPECT_EQ(one(std::numeric_limits<double>::infinity()), "null\n");
}

TEST(JsonWriter, TwoLevelsAreIndentedDeeperOnesAreNot) {
  JsonWriter json;
  json.begin_object().member("a", 1).key("b").begin_array().value(true);
  json.begin_object().member("c", "x").key("d").null().end_object().end_array();
  json.texts("e", {}).end_object();
  EXPECT_EQ(json.text(),
            "{\n  \"a\": 1,\n  \"b\": [\n    true,\n    {\"c\": \"x\", \"d\": null}\n  ],\n  \"e\": []\n}\n");
}

}  // namespace
}  // namespace cli
