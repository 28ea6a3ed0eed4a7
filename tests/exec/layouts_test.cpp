#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>

#include "models/lower.h"
#include "tests/exec/layout_cases.h"
#include "tests/exec/trained.h"

namespace exec {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kSteps = 2;  // a sanitizer sees in two what it sees in five
#else
constexpr int kSteps = 5;
#endif

const Trained& on_one_rank(const std::string& model) {
  static std::map<std::string, Trained> known;
  const auto found = known.find(model);
  if (found != known.end()) return found->second;
  return known.emplace(model, train(tiny_run(model, R"({"gbs": 8, "mbs": 1})"), kSteps)).first->second;
}

/// Losses and weights are those of one rank, whose ops run one by one; here each stream is a thread.
void expect_as_one_rank(const LayoutCase& one) {
  SCOPED_TRACE(testing::Message() << one);
  const Trained& expected = on_one_rank(one.model);
  const Trained got = train(tiny_run(one.model, one.overrides), kSteps, StreamMode::threads);
  for (std::size_t i = 0; i < kSteps; ++i)
    EXPECT_NEAR(got.losses[i] / expected.losses[i], 1, 1e-9) << "loss of step " << i;
  for (const auto& [name, whole] : expected.weights) {
    ASSERT_TRUE(got.weights.contains(name)) << name;
    const WholeWeight& mine = got.weights.at(name);
    ASSERT_GE(mine.values.size(), whole.values.size()) << name;
    double worst = 0;
    for (std::size_t i = 0; i < whole.values.size(); ++i)
      worst = std::max(worst, std::abs(mine.values[i] - whole.values[i]));
    EXPECT_LT(worst, 1e-7) << name;
  }
}

class Layouts : public testing::TestWithParam<LayoutCase> {};
TEST_P(Layouts, EqualOneRank) { expect_as_one_rank(GetParam()); }

class MixedLayouts : public testing::TestWithParam<int> {};
TEST_P(MixedLayouts, EqualOneRank) { expect_as_one_rank(mix(GetParam())); }

/// Why a layout does not train; empty if it does.
std::string refusal(const std::string& model, const std::string& overrides) {
  try {
    train(tiny_run(model, overrides), 1);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(LayoutRefusals, SayWhy) {
  EXPECT_EQ(refusal("nemotron-dense", R"({"gpus": 2, "gbs": 8, "cp": 2})"),
            "mamba: a state-space scan does not run with context parallelism, got cp 2");
  EXPECT_EQ(refusal("nemotron-dense", R"({"gpus": 4, "gbs": 8, "tp": 4})"),
            "attention: qkv does not run in fewer pieces than tp, got 2 and tp 4");
  EXPECT_EQ(refusal("wan", R"({"gpus": 2, "gbs": 8, "pp": 2})"),
            "embedding: what later blocks read beside their input does not travel between stages, got pp 2");
  EXPECT_EQ(refusal("wan", R"({"gpus": 2, "gbs": 8, "tp": 2})"),
            "embedding: modulation and norms over all heads do not run with tensor parallelism, got tp 2");
}

/// In two runs of a layout every sum is made in the same order.
TEST(LayoutBits, AreTheSameTwice) {
  for (const LayoutCase& one : {mix(0), mix(20), mix(40)}) {
    const models::Run run = tiny_run(one.model, one.overrides);
    const Trained first = train(run, 2), second = train(run, 2);
    EXPECT_EQ(first.losses, second.losses) << one;
    EXPECT_EQ(first.gradient_norms, second.gradient_norms) << one;
    for (const auto& [name, whole] : first.weights) EXPECT_EQ(whole.values, second.weights.at(name).values) << one;
  }
}

INSTANTIATE_TEST_SUITE_P(Dense, Layouts, testing::ValuesIn(dense()));
INSTANTIATE_TEST_SUITE_P(Experts, Layouts, testing::ValuesIn(experts()));
INSTANTIATE_TEST_SUITE_P(Hybrid, Layouts, testing::ValuesIn(hybrid()));
INSTANTIATE_TEST_SUITE_P(HybridExperts, Layouts, testing::ValuesIn(hybrid_experts()));
INSTANTIATE_TEST_SUITE_P(Diffusion, Layouts, testing::ValuesIn(diffusion()));
INSTANTIATE_TEST_SUITE_P(Seeds, MixedLayouts, testing::Range(0, kMixes));

}  // namespace
}  // namespace exec
