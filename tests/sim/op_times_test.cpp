#include "sim/op_times.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "hw/input_error.h"
#include "models/run.h"
#include "sim/breakdown.h"
#include "sim/prediction.h"
#include "tests/sim/published_runs.h"

namespace sim {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;

std::optional<models::Run> run_of(const hw::Node& row, models::Library& library) {
  try {
    return models::parse_run(row, library, true);
  } catch (const hw::InputError&) {
    return std::nullopt;
  }
}

/// Compute of the breakdown: the parts in front of `slowdown`.
double compute_of(const Prediction& prediction) {
  double sum = 0;
  for (const BreakdownItem& item : prediction.breakdown)
    for (int part = 0; part < static_cast<int>(Part::slowdown); ++part)
      if (item.what == name(static_cast<Part>(part))) sum += item.time.value;
  return sum;
}

// What the breakdown adds up pass by pass, op by op: the busiest rank's compute kernels.
TEST(OpTimes, AddUpToTheBreakdownsCompute) {
  models::Library library({kRoot});
  int compared = 0;
  for (const hw::Node& row : published_rows(library, 4)) {
    const auto run = run_of(row, library);
    if (!run) continue;
    ++compared;
    const hw::Efficiency efficiency = default_efficiency(*run, library);
    const LoweredRun lowered = lower_to_fit(*run);
    double sum = 0;
    for (const OpTime& op : op_times(lowered, efficiency, Tier::closed_form))
      if (op.computes && op.block != "optimizer") sum += op.time.value;
    const Prediction prediction = predict(lowered.run, lowered.program, efficiency, Tier::closed_form);
    EXPECT_NEAR(sum / compute_of(prediction), 1, 1e-9) << run->id;
  }
  EXPECT_GE(compared, 100);
}

Bound bound_of(const std::vector<OpTime>& ops, const std::string& block, const std::string& op) {
  const auto found = std::ranges::find_if(ops, [&](const OpTime& row) { return row.block == block && row.op == op; });
  EXPECT_NE(found, ops.end()) << block << " " << op;
  return found == ops.end() ? Bound::latency : found->bound;
}

// DeepSeek-V3 on 1,024 H100: experts of a layer lie on 8 nodes, tp 2 inside one. A matrix product of 4,096 rows and
// thousands of columns has over 1,000 FLOPs a byte, an activation less than 10; the H100 does 300 (989 / 3.35) in bf16.
TEST(OpTimes, TheResourceIsTheOneThatIsShort) {
  models::Library library({kRoot});
  const models::Run run =
      models::parse_run(hw::Node::read_file(kRoot + "/configs/runs/deepseek-v3-h100-1024.json"), library, false);
  const auto ops = op_times(lower_to_fit(run), default_efficiency(run, library), Tier::closed_form);
  EXPECT_EQ(bound_of(ops, "mla+moe", "dispatch"), Bound::nic);
  EXPECT_EQ(bound_of(ops, "mla+moe", "combine"), Bound::nic);
  EXPECT_EQ(bound_of(ops, "mla+moe", "rope_kv"), Bound::hbm);
  EXPECT_EQ(bound_of(ops, "head", "logits"), Bound::compute);
  EXPECT_EQ(bound_of(ops, "pipeline", "pipeline_send"), Bound::nic);
  EXPECT_EQ(bound_of(ops, "optimizer", "optimizer"), Bound::hbm);
}

// By hand, two stages of two chunks each: chunks 0 1 2 3 lie on stages 0 1 0 1 interleaved, with three neighbours of
// each stage on the other, and on 0 1 1 0 in a V, with two. Layers 7 8 8 7 leave stage 1 the busiest of the V.
TEST(OpTimes, TransfersAreBetweenStages) {
  models::Library library({kRoot});
  const auto sends = [&](const std::string& schedule) {
    const std::string run =
        R"({"system": "a100-80g", "framework": "megatron-lm", "model": "zb-6.2b", "gpus": 2, "gbs": 288,)"
        R"("mbs": 6, "seq_len": 1024, "precision": "fp16", "pp": 2, "vp": 2, "overlap": {"schedule": ")" +
        schedule + "\"}}";
    const models::Run parsed = models::parse_run(hw::Node::parse(run, "run.json"), library, false);
    const auto ops = op_times(lower_to_fit(parsed), default_efficiency(parsed, library), Tier::closed_form);
    return std::ranges::find_if(ops, [](const OpTime& row) { return row.op == "pipeline_send"; })->time;
  };
  EXPECT_NEAR(sends("ZB-V") / sends("1F1B-interleaved"), 2.0 / 3, 1e-9);
}

}  // namespace
}  // namespace sim
