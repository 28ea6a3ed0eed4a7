#include "hw/node_edit.h"

#include <gtest/gtest.h>

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

}  // namespace
