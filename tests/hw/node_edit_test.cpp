#include "hw/node_edit.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hw/input_error.h"

namespace {

hw::Node parsed(const char* text) { return hw::Node::parse(text, "p.json"); }

TEST(NodeEdit, ReplacesAndAdds) {
  const hw::Node edited =
      hw::replaced(parsed(R"({"a": {"b": 1, "c": 2}})"), {{"/a/b", parsed(R"({"x": [1, 2]})")}, {"/d/e", parsed("3")}});
  EXPECT_EQ(edited.dump(), R"({"a":{"b":{"x":[1,2]},"c":2},"d":{"e":3}})");
}

TEST(NodeEdit, ANumberInTheWayIsRefused) {
  try {
    hw::replaced(parsed(R"({"a": 1})"), {{"/a/b", parsed("2")}});
    FAIL();
  } catch (const hw::InputError& error) {
    EXPECT_STREQ(error.what(), "p.json: /a/b: must lie in objects");
  }
}

TEST(NodeEdit, PrettyPutsWhatIsFlatOnALine) {
  EXPECT_EQ(parsed(R"({"a":{"b":{"x":1,"y":[1,2]},"c":"t"}})").pretty(),
            "{\n  \"a\": {\n    \"b\": {\"x\": 1, \"y\": [1, 2]},\n    \"c\": \"t\"\n  }\n}\n");
}

// A document of its own: the first stays, keys keep their order, what is not there is added behind.
TEST(NodeWith, ReplacesAndAddsInACopy) {
  const hw::Node before = parsed(R"({"b": {"x": 1, "y": "t"}, "a": [1, 2]})");
  const hw::Node after = before.with({{"/b/x", 2.5}, {"/b/z", std::string("new")}, {"/a/1", std::vector{3.0, 4.0}}});
  EXPECT_EQ(after.dump(), R"({"b":{"x":2.5,"y":"t","z":"new"},"a":[1,[3.0,4.0]]})");
  EXPECT_EQ(before.dump(), R"({"b":{"x":1,"y":"t"},"a":[1,2]})");
  EXPECT_EQ(after.file(), "p.json");
  EXPECT_EQ(after.at("b").at("x").pointer(), "/b/x");
  // Of a part, pointers start there.
  EXPECT_EQ(before.at("b").with({{"/x", 7.0}}).dump(), R"({"x":7.0,"y":"t"})");
}

TEST(NodeWith, RefusesWhereNothingHoldsThem) {
  const auto refusal = [](const std::string& pointer) -> std::string {
    try {
      parsed(R"({"a": 1, "b": [1]})").with({{pointer, 1.0}});
    } catch (const hw::InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal("/a/x"), "p.json: /a/x: must be in an object or array that is there");
  EXPECT_EQ(refusal("/c/x"), "p.json: /c/x: must be in an object or array that is there");
  EXPECT_EQ(refusal("no pointer"), "p.json: no pointer: must be in an object or array that is there");
}

// What a fit writes is read back as the same numbers.
TEST(NodeWith, PrettyReadsBack) {
  const hw::Node edited = parsed(R"({"a": {"x": 1, "y": [1, 2]}, "b": {}})").with({{"/a/x", 0.1 + 0.2}});
  EXPECT_EQ(hw::Node::parse(edited.pretty(), "again.json").dump(), edited.dump());
  EXPECT_EQ(hw::Node::parse(edited.pretty(), "again.json").at("a").at("x").number(), 0.1 + 0.2);
}

}  // namespace
