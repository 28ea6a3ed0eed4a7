#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/exec/trained.h"

namespace exec {
namespace {

nlohmann::json golden(const std::string& name) {
  std::ifstream in(std::string(STEPCAST_SOURCE_DIR) + "/tests/exec/goldens/" + name + ".json");
  return nlohmann::json::parse(in);
}

double relative(double got, double expected) { return std::abs(got - expected) / std::max(std::abs(expected), 1e-9); }

class Goldens : public testing::TestWithParam<std::string> {};

/// Losses, gradients and weights of 20 steps against PyTorch's in fp64 (tests/exec/goldens/README.md).
TEST_P(Goldens, Fp64) {
  const nlohmann::json expected = golden(GetParam());
  const Trained got = train(tiny_run(GetParam()), 20);
  const auto losses = expected.at("losses").get<std::vector<double>>();
  EXPECT_LT(relative(got.losses.front(), losses.front()), 1e-9);
  for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_LT(relative(got.losses[i], losses[i]), 1e-7) << "step " << i;
  for (const auto& [step, tolerance] : {std::pair{1, 1e-9}, std::pair{20, 1e-7}}) {
    const auto& norms = expected.at("gradient_norms").at(std::to_string(step));
    const auto& mine = got.norms_of_parameters[static_cast<std::size_t>(step) - 1];
    EXPECT_EQ(norms.size(), mine.size());
    const double whole = expected.at("global_gradient_norm").at(static_cast<std::size_t>(step) - 1).get<double>();
    for (const auto& [name, norm] : norms.items()) {
      ASSERT_TRUE(mine.contains(name)) << name;
      // Some gradients are 0 but for rounding.
      if (norm.get<double>() < 1e-12 * whole) continue;
      EXPECT_LT(relative(mine.at(name), norm.get<double>()), tolerance) << name << " at step " << step;
    }
  }
  for (const auto& [name, sums] : expected.at("weights").items()) {
    ASSERT_TRUE(got.weights.contains(name)) << name;
    double square = 0;
    for (const double x : got.weights.at(name).values) square += x * x;
    EXPECT_NEAR(square, sums.at(1).get<double>(), 1e-7 * sums.at(1).get<double>() + 1e-16) << name;
    for (std::size_t i = 2; i < sums.size(); ++i)
      EXPECT_NEAR(got.weights.at(name).values[i - 2], sums.at(i).get<double>(), 1e-7) << name;
  }
}

TEST_P(Goldens, Fp32) {
  const nlohmann::json expected = golden(GetParam());
  const Trained got = train(tiny_run(GetParam(), R"({"precision": "fp32"})"), 20);
  const auto losses = expected.at("losses").get<std::vector<double>>();
  for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_LT(relative(got.losses[i], losses[i]), 1e-4) << "step " << i;
  const auto& norms = expected.at("gradient_norms").at("1");
  const double whole = expected.at("global_gradient_norm").at(0).get<double>();
  for (const auto& [name, norm] : norms.items()) {
    if (norm.get<double>() < 1e-12 * whole) continue;
    EXPECT_LT(relative(got.norms_of_parameters[0].at(name), norm.get<double>()), 2e-4) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Goldens,
                         testing::Values("llama", "gpt2", "qwen2", "qwen3", "llama-lora", "qwen3-moe", "gpt-oss",
                                         "deepseek-v3", "kimi-k2", "nemotron-dense", "nemotron", "wan"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace exec
