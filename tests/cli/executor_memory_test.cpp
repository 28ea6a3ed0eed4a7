#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "models/lower.h"
#include "sim/prediction.h"
#include "tests/exec/trained.h"

namespace exec {
namespace {

struct Case {
  const char *model, *overrides;
};

class ExecutorMemory : public testing::TestWithParam<Case> {};

/// The simulator predicts the peak of the executor's allocator: both follow the same program.
TEST_P(ExecutorMemory, PeakIsPredicted) {
  const models::Run run = tiny_run(GetParam().model, GetParam().overrides);
  const models::StepProgram program = models::lower(run);
  const sim::Memory predicted = sim::predict_memory(run, program);
  const Trained got = train(run, 2);
  const auto measured = static_cast<double>(*std::max_element(got.peak_bytes.begin(), got.peak_bytes.end()));
  EXPECT_NEAR(predicted.peak.value / measured, 1, 0.01)
      << "predicted " << predicted.peak.value << ", " << predicted.moment;
  std::string items;
  for (const sim::MemoryItem& item : predicted.items)
    items += std::string(item.kind) + " " + std::to_string(static_cast<long>(item.bytes.value)) + "  ";
  RecordProperty("items", items);
  if (HasFailure()) printf("%s measured %ld\n", items.c_str(), static_cast<long>(measured));
}

INSTANTIATE_TEST_SUITE_P(
    Runs, ExecutorMemory,
    testing::Values(
        Case{"llama", R"({"gpus": 1, "gbs": 4, "mbs": 1})"}, Case{"llama", R"({"gpus": 1, "gbs": 8, "mbs": 2})"},
        Case{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "zero": 1})"},
        Case{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2})"},
        Case{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "tp": 2, "sp": true})"},
        Case{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2})"},
        Case{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "pp": 2, "vp": 2})"},
        Case{"llama", R"({"gpus": 4, "gbs": 8, "mbs": 1, "pp": 4, "schedule": "zb-1p"})"},
        Case{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "cp": 2})"},
        Case{"llama", R"({"gpus": 2, "gbs": 8, "mbs": 1, "cp": 2, "extra": {"cp_comm_type": "a2a"}})"},
        Case{"llama", R"({"gpus": 4, "gbs": 8, "mbs": 1, "fsdp": 4, "zero": 3})"},
        Case{"llama", R"({"gpus": 4, "gbs": 4, "mbs": 1, "fsdp": 4, "zero": 3})"},
        Case{"llama", R"({"gpus": 4, "gbs": 8, "mbs": 1, "fsdp": 4, "zero": 2})"},
        Case{"llama", R"({"gpus": 1, "gbs": 4, "mbs": 1, "recompute": {"mode": "full"}})"},
        Case{"gpt2", R"({"gpus": 1, "gbs": 4, "mbs": 1})"}, Case{"gpt2", R"({"gpus": 2, "gbs": 4, "mbs": 1, "pp": 2})"},
        Case{"qwen3", R"({"gpus": 1, "gbs": 4, "mbs": 1})"}, Case{"qwen3-moe", R"({"gpus": 1, "gbs": 4, "mbs": 1})"},
        Case{"qwen3-moe", R"({"gpus": 2, "gbs": 4, "mbs": 1, "ep": 2, "moe": {"balanced_gate": true}})"},
        Case{"deepseek-v3", R"({"gpus": 1, "gbs": 4, "mbs": 1})"},
        Case{"gpt-oss", R"({"gpus": 1, "gbs": 4, "mbs": 1})"}));

}  // namespace
}  // namespace exec
