#include "calibration/operator_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "calibration/attention_fit.h"
#include "calibration/collective_fit.h"
#include "calibration/gemm_fit.h"
#include "calibration/robust_fit.h"
#include "hw/efficiency.h"
#include "sim/attention_cost.h"

namespace calibration {
namespace {

const std::filesystem::path kRoot = STEPCAST_SOURCE_DIR;

hw::Cluster machine_of(const std::string& name) {
  return hw::parse_cluster(hw::Node::read_file(kRoot / "hw" / (name + ".json")));
}

// Ten points on y = 1 + 2 x, one of them 50 off: the line.
TEST(RobustFit, AnOutlierHardlyCounts) {
  const auto found = robust_fit({{0, -10, 10}, {0, -10, 10}}, 10, [](const auto& p, auto& r) {
    for (std::size_t i = 0; i < r.size(); ++i) {
      const auto x = static_cast<double>(i);
      r[i] = p[0] + p[1] * x - (1 + 2 * x) - (i == 9 ? 50 : 0);
    }
  });
  EXPECT_NEAR(found[0], 1, 0.3);
  EXPECT_NEAR(found[1], 2, 0.1);
}

TEST(GemmFit, RecoversAKnownCurve) {
  const hw::Gpu gpu = machine_of("h100").gpu;
  const hw::GemmCurve known{.rate = {700e12},
                            .bandwidth = {2.5e12},
                            .overhead = {3e-6},
                            .exponent = 2.5,
                            .padding = 0.5,
                            .wave = 0.2,
                            .sm_count = gpu.sm_count};
  std::vector<GemmSample> samples;
  for (std::int64_t m : {256, 384, 512, 1024, 1025, 2048, 3000, 4096, 8192, 16384})
    for (std::int64_t n : {256, 512, 768, 1024, 2048, 4096, 8192, 12288})
      for (std::int64_t k : {256, 512, 1024, 2048, 4096, 8192}) {
        const sim::GemmShape shape{m, n, k};
        const hw::Flops flops{2.0 * static_cast<double>(m * n * k)};
        const hw::Bytes bytes = gemm_bytes(shape, hw::DType::bf16, models::GemmRole::forward);
        samples.push_back({shape, sim::gemm_time(known, shape, flops, bytes, 1), {}});
      }
  const FittedGemm fitted = fit_gemm(samples, hw::DType::bf16, gpu);
  EXPECT_NEAR(fitted.curve.rate.value / known.rate.value, 1, 0.01);
  EXPECT_NEAR(fitted.curve.padding, known.padding, 0.05);
  EXPECT_NEAR(fitted.curve.wave, known.wave, 0.03);
  EXPECT_GT(fitted.report.held_out.count, 50U);
  EXPECT_LT(fitted.report.held_out.median, 0.003);
  EXPECT_LT(fitted.report.held_out.p90, 0.01);
}

TEST(AttentionFit, RecoversAKnownCurve) {
  const hw::Gpu gpu = machine_of("gb200").gpu;
  const hw::AttentionCurve known{.rate = {1800e12}, .ramp = 500, .droop = 0.05, .wave = 0.6, .tile = 256};
  const hw::Seconds overhead{4e-6};
  std::vector<AttentionSample> samples;
  for (int heads : {16, 20, 32, 40, 64})
    for (std::int64_t tokens : {2048, 3000, 4096, 8192, 12000, 16384, 32768}) {
      AttentionSample s{.work = {.batch = 1,
                                 .queries = tokens,
                                 .keys = tokens,
                                 .heads = heads,
                                 .kv_heads = heads,
                                 .qk_dim = 128,
                                 .v_dim = 128,
                                 .mask = models::Mask::full},
                        .time = {}};
      s.time = sim::attention_stretch(s.work, known, gpu.sm_count) * (s.flops() / known.rate) + overhead;
      samples.push_back(s);
    }
  const FittedAttention fitted = fit_attention(samples, gpu, overhead);
  const auto& full = fitted.curves[static_cast<std::size_t>(AttentionClass::full)];
  ASSERT_TRUE(full);
  EXPECT_NEAR(full->rate.value / known.rate.value, 1, 0.01);
  EXPECT_NEAR(full->ramp, known.ramp, 25);
  EXPECT_NEAR(full->droop, known.droop, 0.005);
  EXPECT_NEAR(full->wave, known.wave, 0.05);
}

// A protocol that changes at 4 MiB: the smooth curve misses it, the ratios hold it.
TEST(CollectiveFit, RatiosHoldAKink) {
  std::vector<CollectiveSample> samples;
  for (int octave = 9; octave < 30; ++octave) {
    const hw::Bytes payload{std::ldexp(1.0, octave)};
    const double bandwidth = octave < 22 ? 100e9 : 400e9;
    samples.push_back({payload, payload, hw::Seconds{2e-5 + payload.value / bandwidth}});
  }
  const FittedCollective fitted = fit_collective(samples);
  EXPECT_LT(fitted.report.fitted.median, 0.01);
  EXPECT_EQ(fitted.report.held_out.count, 14U);
}

TEST(OperatorFit, AFolderThatIsNotThereIsRefused) {
  const hw::Node prior = hw::Node::read_file(kRoot / "calibration/profiles/tables.json");
  try {
    fit_operators({"/no/such", [](const std::string&) { return nullptr; }, "2026-01-01"}, prior, true);
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_STREQ(error.what(), "/no/such: must be a folder of operator tables");
  }
}

/// The measured tables, where they lie beside the source tree.
class MeasuredTables : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto folder = kRoot / "../shared/data/ops";
    if (!std::filesystem::exists(folder / "gemm.csv.gz")) return;
    for (const char* name : {"a100-80g", "h100", "h200", "b200", "b300", "gb200", "gb300"})
      machines().emplace(name, machine_of(name));
    const auto machine = [](const std::string& system) -> const hw::Cluster* {
      const auto found = machines().find(system);
      return found == machines().end() ? nullptr : &found->second;
    };
    const hw::Node prior = hw::Node::read_file(kRoot / "calibration/profiles/tables.json");
    fit() = std::make_unique<OperatorFit>(fit_operators({folder, machine, "2026-01-01"}, prior, true));
  }
  static void TearDownTestSuite() { fit().reset(); }
  void SetUp() override {
    if (!fit()) GTEST_SKIP() << "the tables are not here";
  }

  static std::map<std::string, hw::Cluster>& machines() {
    static std::map<std::string, hw::Cluster> all;
    return all;
  }
  static std::unique_ptr<OperatorFit>& fit() {
    static std::unique_ptr<OperatorFit> result;
    return result;
  }
};

// bf16 on held-out (n, k) pairs. A100, whose cuBLAS wastes whole waves, is the worst.
TEST_F(MeasuredTables, Bf16GemmsHeldOut) {
  int machines_seen = 0;
  for (const FittedCurve& curve : fit()->tables.curves) {
    if (curve.family != "gemm" || curve.kind != "bf16") continue;
    ++machines_seen;
    EXPECT_LT(curve.held_out.median, 0.042) << curve.system;
    EXPECT_LT(curve.held_out.p90, curve.system == "a100-80g" ? 0.12 : 0.112) << curve.system;
  }
  EXPECT_EQ(machines_seen, 7);
}

TEST_F(MeasuredTables, AttentionHeldOut) {
  for (const FittedCurve& sum : summed_up(fit()->tables.curves, "attention")) {
    EXPECT_LT(sum.held_out.median, 0.03) << sum.kind;
    EXPECT_LT(sum.held_out.p90, 0.09) << sum.kind;
  }
}

TEST_F(MeasuredTables, CollectivesHeldOut) {
  for (const FittedCurve& sum : summed_up(fit()->tables.curves, "collective")) {
    EXPECT_LT(sum.held_out.median, 0.04) << sum.kind;
    EXPECT_LT(sum.held_out.p90, 0.15) << sum.kind;
  }
}

TEST_F(MeasuredTables, WhatIsWrittenReadsBack) {
  const hw::Node again = hw::Node::parse(fit()->profile.pretty(), "again.json");
  EXPECT_EQ(again.dump(), fit()->profile.dump());
  for (const auto& [name, machine] : machines()) {
    const hw::Efficiency read = hw::parse_efficiency(again, machine);
    EXPECT_NE(read.gemm[static_cast<std::size_t>(hw::DType::bf16)].grid, nullptr) << name;
  }
}

}  // namespace
}  // namespace calibration
