#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "models/lower.h"
#include "sim/prediction.h"
#include "tests/exec/layout_cases.h"
#include "tests/exec/trained.h"

namespace exec {
namespace {

/// The simulator predicts the peak of the executor's allocator: both follow the same program. It predicts balanced
/// experts, so here the choice of experts goes round.
void expect_predicted_peak(const LayoutCase& one) {
  if (one.overrides.find("framework") != std::string::npos)
    GTEST_SKIP() << "tensors of another stack lie in each other's memory";
  SCOPED_TRACE(testing::Message() << one);
  models::Run run = tiny_run(one.model, one.overrides);
  run.traits.routing = models::Routing::contiguous;
  const models::StepProgram program = models::lower(run);
  const sim::Memory predicted = sim::predict_memory(run, program);
  const Trained got = train(run, 2);
  const auto measured = static_cast<double>(*std::max_element(got.peak_bytes.begin(), got.peak_bytes.end()));
  std::string items;
  for (const sim::MemoryItem& item : predicted.items)
    items += std::string(item.kind) + " " + std::to_string(static_cast<long>(item.bytes.value)) + "  ";
  EXPECT_NEAR(predicted.peak.value / measured, 1, 0.01)
      << "predicted in " << predicted.moment << ": " << items << "measured " << measured;
}

class ExecutorMemory : public testing::TestWithParam<LayoutCase> {};
TEST_P(ExecutorMemory, PeakIsPredicted) { expect_predicted_peak(GetParam()); }

class MixedExecutorMemory : public testing::TestWithParam<int> {};
TEST_P(MixedExecutorMemory, PeakIsPredicted) { expect_predicted_peak(mix(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Runs, ExecutorMemory, testing::ValuesIn(listed_layouts()));
INSTANTIATE_TEST_SUITE_P(Bf16, ExecutorMemory, testing::ValuesIn(bf16()));
INSTANTIATE_TEST_SUITE_P(Seeds, MixedExecutorMemory, testing::Range(0, kMixes));

}  // namespace
}  // namespace exec
