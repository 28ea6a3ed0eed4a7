// The default profile, and what a profile must not say.
#include "hw/efficiency.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "hw/input_error.h"

namespace {

using hw::DType;

const std::string kRoot = STEPCAST_SOURCE_DIR;

hw::Cluster cluster_of(const std::string& name) {
  return hw::parse_cluster(hw::Node::read_file(kRoot + "/hw/" + name + ".json"));
}

const hw::Node& default_profile() {
  static const hw::Node profile = hw::Node::read_file(kRoot + "/calibration/profiles/tables.json");
  return profile;
}

hw::Efficiency efficiency_of(const hw::Cluster& cluster) { return hw::parse_efficiency(default_profile(), cluster); }

const hw::GemmCurve& gemm(const hw::Efficiency& efficiency, DType type) {
  return efficiency.gemm[static_cast<std::size_t>(type)];
}

TEST(DefaultProfile, HoldsEveryMachine) {
  for (const char* name : {"a100-40g", "a100-80g", "h100", "h200", "h800", "b200", "b300", "gb200", "gb300"}) {
    const hw::Cluster cluster = cluster_of(name);
    const hw::Efficiency found = efficiency_of(cluster);
    EXPECT_NE(gemm(found, DType::bf16).origin, hw::Origin::roofline) << name;
    for (int i = 0; i < hw::kDTypes; ++i) {
      const auto type = static_cast<std::size_t>(i);
      EXPECT_GT(found.gemm[type].rate.value, 0) << name << " " << i;
      EXPECT_GT(found.attention[type].full_backward.rate.value, 0) << name << " " << i;
      if (cluster.gpu.peak[type].value == 0) continue;
      EXPECT_LT(found.gemm[type].rate, cluster.gpu.peak[type]) << name << " " << i;
    }
    for (const double fraction : found.pointwise_forward) EXPECT_GT(fraction, 0.1) << name;
  }
}

// Rates of cuBLAS on the operator tables of ai-dynamo/aiconfigurator@095f58a51c4c, fitted elsewhere with a curve that
// knows no tiles: H100 764 and 1580 TFLOP/s in bf16 and fp8, GB300 1883 and 3691. Bandwidths 2.70 and 5.80 TB/s.
TEST(DefaultProfile, GemmCurvesComeFromTables) {
  const auto h100 = efficiency_of(cluster_of("h100")), gb300 = efficiency_of(cluster_of("gb300"));
  const auto rate = [](const hw::Efficiency& of, DType type) { return gemm(of, type).rate.value / 1e12; };
  EXPECT_NEAR(rate(h100, DType::bf16) / 764, 1, 0.05);
  EXPECT_NEAR(rate(h100, DType::fp8) / 1580, 1, 0.05);
  EXPECT_NEAR(rate(gb300, DType::bf16) / 1883, 1, 0.05);
  EXPECT_NEAR(rate(gb300, DType::fp8) / 3691, 1, 0.05);
  EXPECT_NEAR(gemm(h100, DType::bf16).bandwidth.value / 2.7e12, 1, 0.1);
  EXPECT_NEAR(gemm(gb300, DType::bf16).bandwidth.value / 5.8e12, 1, 0.1);
  for (const DType type : {DType::bf16, DType::fp8, DType::nvfp4}) {
    EXPECT_EQ(gemm(gb300, type).origin, hw::Origin::curve);
    EXPECT_NE(gemm(gb300, type).grid, nullptr);
    EXPECT_EQ(gemm(gb300, type).sm_count, 152);
  }
  EXPECT_EQ(gemm(gb300, DType::mxfp8).origin, hw::Origin::interpolated);
}

TEST(Profile, DeviceScalarsComeBeforeSharedOnes) {
  const hw::Node profile = default_profile().with({{"/shared/scalars/sustained/value", 0.71},
                                                   {"/devices/h100/scalars/sustained/value", 0.72},
                                                   {"/devices/b200/scalars/sustained/value", 0.73},
                                                   {"/shared/scalars/kernel_gap_us/value", 3.5}});
  const auto found = [&](const char* machine) { return hw::parse_efficiency(profile, cluster_of(machine)); };
  EXPECT_DOUBLE_EQ(found("h100").sustained, 0.72);
  EXPECT_DOUBLE_EQ(found("b200").sustained, 0.73);
  EXPECT_DOUBLE_EQ(found("h100").kernel_gap.value, 3.5e-6);
  hw::Cluster unknown = cluster_of("h100");
  unknown.name = "unheard-of";
  EXPECT_DOUBLE_EQ(hw::parse_efficiency(profile, unknown).sustained, 0.71);
}

// By hand: 1.5 times 0.4 is 0.6, times 0.8 more than the memory has: 1.
TEST(OnStack, WhatOneStackNeeds) {
  hw::Efficiency shared;
  shared.pointwise_forward.fill(0.4);
  shared.pointwise_backward.fill(0.8);
  shared.host_op_factor = 1.1;
  shared.stacks = {{"other", 3, 3}, {"mine", 1.5, 2}};
  const hw::Efficiency mine = hw::on_stack(shared, "mine");
  for (const double fraction : mine.pointwise_forward) EXPECT_DOUBLE_EQ(fraction, 0.6);
  for (const double fraction : mine.pointwise_backward) EXPECT_DOUBLE_EQ(fraction, 1);
  EXPECT_DOUBLE_EQ(mine.host_op_factor, 2.2);
  const hw::Efficiency unknown = hw::on_stack(shared, "unheard-of");
  EXPECT_EQ(unknown.pointwise_forward, shared.pointwise_forward);
  EXPECT_EQ(unknown.pointwise_backward, shared.pointwise_backward);
  EXPECT_EQ(unknown.host_op_factor, shared.host_op_factor);
}

TEST(OnStack, ReadFromTheProfile) {
  const hw::Node profile =
      default_profile().with({{"/stacks/automodel/pointwise/value", 0.75}, {"/stacks/automodel/host/value", 1.25}});
  const hw::Efficiency found = hw::parse_efficiency(profile, cluster_of("h100"));
  const hw::Efficiency there = hw::on_stack(found, "automodel");
  EXPECT_DOUBLE_EQ(there.pointwise_forward[0] / found.pointwise_forward[0], 0.75);
  EXPECT_DOUBLE_EQ(there.host_op_factor / found.host_op_factor, 1.25);
}

// By hand: a machine that no profile knows runs at fractions of its datasheet, and says so.
TEST(GenericMachine, FractionsOfTheDatasheet) {
  hw::Cluster cluster = cluster_of("h100");
  cluster.name = "unheard-of";
  const hw::Efficiency found = efficiency_of(cluster);
  EXPECT_NEAR(gemm(found, DType::bf16).rate.value, 0.7 * 989e12, 1e6);
  EXPECT_NEAR(gemm(found, DType::fp8).rate.value, 0.7 * 1979e12, 1e6);
  EXPECT_NEAR(gemm(found, DType::bf16).bandwidth.value, 0.66 * 3.35e12, 1e6);
  EXPECT_EQ(gemm(found, DType::bf16).origin, hw::Origin::roofline);
  EXPECT_NEAR(found.attention[static_cast<std::size_t>(DType::bf16)].causal_forward.rate.value, 0.72 * 989e12, 1e6);
  EXPECT_NEAR(found.nvlink[1].bandwidth.value, 0.8 * 450e9, 1);
  EXPECT_NEAR(found.nvlink_two[1].bandwidth.value, 0.75 * 0.8 * 450e9, 1);
  EXPECT_EQ(found.nvlink[1].origin, hw::Origin::roofline);
}

// The same share of other rates: 1.5 times the bf16 peak, twice the memory bandwidth, half the NVLink.
TEST(Variant, AchievesTheSameShareOfOtherRates) {
  const hw::Cluster h100 = cluster_of("h100");
  hw::Cluster cluster = h100;
  cluster.variant_of = std::make_shared<const hw::Cluster>(h100);
  cluster.gpu.peak[static_cast<std::size_t>(DType::bf16)] = 1.5 * hw::FlopsPerSecond{989e12};
  cluster.gpu.memory_bandwidth = 2 * h100.gpu.memory_bandwidth;
  cluster.nvlink = 0.5 * h100.nvlink;
  const hw::Efficiency found = efficiency_of(cluster), fitted = efficiency_of(h100);
  EXPECT_DOUBLE_EQ(gemm(found, DType::bf16).rate / gemm(fitted, DType::bf16).rate, 1.5);
  EXPECT_DOUBLE_EQ(gemm(found, DType::fp8).rate / gemm(fitted, DType::fp8).rate, 1);
  EXPECT_DOUBLE_EQ(gemm(found, DType::fp8).bandwidth / gemm(fitted, DType::fp8).bandwidth, 2);
  EXPECT_EQ(gemm(found, DType::bf16).overhead, gemm(fitted, DType::bf16).overhead);
  EXPECT_EQ(gemm(found, DType::bf16).origin, hw::Origin::interpolated);
  EXPECT_DOUBLE_EQ(found.flash2.causal_backward.rate / fitted.flash2.causal_backward.rate, 1.5);
  EXPECT_DOUBLE_EQ(found.nvlink[0].bandwidth / fitted.nvlink[0].bandwidth, 0.5);
  EXPECT_DOUBLE_EQ(found.dispatch_nvlink / fitted.dispatch_nvlink, 0.5);
  EXPECT_EQ(found.sustained, fitted.sustained);
}

// By hand: 0.7 of 989 TFLOP/s, as of a machine that no profile knows.
TEST(Variant, OfAnotherArchitectureIsGeneric) {
  hw::Cluster cluster = cluster_of("h100");
  cluster.variant_of = std::make_shared<const hw::Cluster>(cluster);
  cluster.gpu.architecture = "sm_100";
  EXPECT_NEAR(gemm(efficiency_of(cluster), DType::bf16).rate.value, 0.7 * 989e12, 1e6);
  EXPECT_EQ(gemm(efficiency_of(cluster), DType::bf16).origin, hw::Origin::roofline);
}

/// The default profile with one piece of text replaced.
std::string refusal(const std::string& system, const std::string& from, const std::string& to) {
  std::string text = default_profile().dump();
  const std::size_t at = text.find(from);
  if (at == std::string::npos) return "no such text";
  text.replace(at, from.size(), to);
  try {
    hw::parse_efficiency(hw::Node::parse(text, "p.json"), cluster_of(system));
  } catch (const hw::InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Refusals, NameFilePointerRuleAndValue) {
  EXPECT_EQ(refusal("h100", R"("loop_rate":{"value":1,)", R"("loop_rate":{"value":-1,)"),
            "p.json: /shared/scalars/loop_rate/value: must be a positive number, got -1");
  EXPECT_EQ(refusal("h100", R"("nvlink_sm_share":{"value":0.15,)", R"("nvlink_sm_share":{"value":1,)"),
            "p.json: /shared/scalars/nvlink_sm_share/value: must be below 1, got 1");
  EXPECT_EQ(refusal("h100", R"("loop_rate":{)", R"("loop_rat":{)"),
            "p.json: /shared/scalars: unknown key \"loop_rat\" (did you mean \"loop_rate\"?)");
  EXPECT_EQ(refusal("h100", R"("origin":"roofline")", R"("origin":"guess")"),
            "p.json: /shared/pointwise/origin: must be one of measured, interpolated, curve, runs, roofline, got "
            "\"guess\"");
  EXPECT_TRUE(refusal("h100", R"("fp8-block":{)", R"("mxfp8":{)")
                  .starts_with("p.json: /devices/h100/gemm/mxfp8: the datasheet gives this GPU no such format, got "));
  EXPECT_EQ(refusal("h100", R"("norm":0.75)", R"("norm":1.5)"),
            "p.json: /shared/pointwise/forward/norm: must be a number above 0 and at most 1, got 1.5");
  EXPECT_EQ(refusal("h100", R"("profile":"tables")", R"("profile":"")"),
            "p.json: /profile: must be a non-empty string, got \"\"");
}

TEST(Refusals, CurvesNeedTheirSource) {
  EXPECT_TRUE(refusal("h100", R"("source":"cuDNN training)", R"("sauce":"cuDNN training)")
                  .starts_with("p.json: /devices/h100/attention/bf16/causal_forward: "));
}

}  // namespace
