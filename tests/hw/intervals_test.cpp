#include "hw/intervals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "hw/input_error.h"

namespace hw {
namespace {

std::string text_with(const std::string& assumed) {
  return R"({"source": "by hand", "layout": {"dense": 0.3, "moe": 0.1, "dit": 0.2},
    "model": {"dense": 0.5, "moe": 0.2, "dit": 0.2}, "system": {"dense": 0.34, "moe": 0.2, "dit": 0.1},
    "framework": {"dense": 0.3, "moe": 0.2, "dit": 0.4}, "assumed": )" +
         assumed + R"(, "models": ["llama"], "systems": ["h100"], "frameworks": ["megatron"]})";
}

double width(const Acquaintance& run) {
  return half_width(parse_intervals(Node::parse(text_with("1.5"), "p.json")), run);
}

TEST(Intervals, AKnownRunIsAsFarOffAsANewLayout) {
  EXPECT_DOUBLE_EQ(width({0, "llama", "h100", "megatron", false}), 0.3);
  EXPECT_DOUBLE_EQ(width({1, "llama", "h100", "megatron", false}), 0.1);
  EXPECT_DOUBLE_EQ(width({1, "llama", "h100", "megatron", true}), 0.15);
}

// What is new adds in quadrature: 0.3, and sqrt(0.5^2 - 0.3^2) = 0.4 of a new model, sqrt(0.34^2 - 0.3^2) = 0.16 of a
// new machine; 0.1 of a DiT's new machine is below 0.2 and adds nothing.
TEST(Intervals, WhatIsNewWidensThem) {
  EXPECT_DOUBLE_EQ(width({0, "qwen", "h100", "megatron", false}), 0.5);
  EXPECT_NEAR(width({0, "llama", "b200", "megatron", false}), 0.34, 1e-12);
  EXPECT_NEAR(width({0, "qwen", "b200", "megatron", false}), std::sqrt(0.25 + 0.16 * 0.16), 1e-12);
  EXPECT_DOUBLE_EQ(width({2, "llama", "b200", "megatron", false}), 0.2);
  EXPECT_NEAR(width({2, "llama", "h100", "torch", false}), 0.4, 1e-12);
}

TEST(Intervals, Refused) {
  try {
    parse_intervals(Node::parse(text_with("0"), "p.json"));
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "p.json: /assumed: must be a positive number, got 0");
  }
}

}  // namespace
}  // namespace hw
