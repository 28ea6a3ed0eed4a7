#include "hw/what_if.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hw/cluster.h"
#include "hw/input_error.h"
#include "hw/machine_figure.h"

namespace hw {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;

Node h100() { return Node::read_file(kRoot + "/hw/h100.json"); }
Cluster changed(const std::vector<std::string>& texts) {
  return parse_cluster(changed_machine(h100(), parse_what_ifs(texts)));
}

void expect_refused(const std::vector<std::string>& texts, const std::string& error) {
  try {
    changed(texts);
    FAIL() << "accepted; expected " << error;
  } catch (const InputError& refused) {
    EXPECT_EQ(refused.what(), error);
  }
}

TEST(WhatIf, FactorsSharesAndValues) {
  EXPECT_EQ(changed({"nic=x2"}).nic.value, 100e9);  // 400 Gb/s are 50 GB/s
  EXPECT_EQ(changed({"nic=+50%"}).nic.value, 75e9);
  EXPECT_EQ(changed({"nic=-20%"}).nic.value, 40e9);
  EXPECT_EQ(changed({"nic=800"}).nic.value, 100e9);
  EXPECT_EQ(changed({"hbm=x2"}).gpu.memory_bandwidth.value, 6.7e12);
  EXPECT_EQ(changed({"nvlink=x1.5"}).nvlink.value, 675e9);
  EXPECT_EQ(changed({"host_link=126"}).gpu.host_link.value, 126e9);
  EXPECT_EQ(changed({"memory=141"}).gpu.memory.value, 141 * kGiB);
  EXPECT_EQ(changed({"nvlink_domain=72"}).nvlink_domain, 72);
  EXPECT_EQ(changed({"oversubscription=2"}).oversubscription, 2);
  EXPECT_EQ(changed({"sms=144"}).gpu.sm_count, 144);
  EXPECT_EQ(changed({"gpus_per_node=4"}).gpus_per_node, 4);
  EXPECT_TRUE(changed({"host=grace"}).grace);
}

TEST(WhatIf, FlopsIsThatOfEveryFormat) {
  const Cluster before = parse_cluster(h100());
  const Cluster all = changed({"flops=x2"}), one = changed({"flops.fp8=x2"});
  for (std::size_t i = 0; i < kDTypes; ++i) EXPECT_EQ(all.gpu.peak[i].value, 2 * before.gpu.peak[i].value);
  const auto at = [](DType type) { return static_cast<std::size_t>(type); };
  EXPECT_EQ(one.gpu.peak[at(DType::fp8)].value, 2 * before.gpu.peak[at(DType::fp8)].value);
  EXPECT_EQ(one.gpu.peak[at(DType::bf16)].value, before.gpu.peak[at(DType::bf16)].value);
}

TEST(WhatIf, SeveralChangesAddUp) {
  const Cluster both = changed({"nic=x2", "hbm=+50%"});
  EXPECT_EQ(both.nic.value, 100e9);
  EXPECT_EQ(both.gpu.memory_bandwidth.value, 1.5 * 3.35e12);
}

TEST(WhatIf, TimesOneIsTheSameMachine) {
  for (const MachineFigure& figure : machine_figures()) {
    if (!stated(figure, h100())) continue;
    const Node same = changed_machine(h100(), parse_what_ifs({std::string(figure.name) + "=x1"}));
    EXPECT_EQ(stated(figure, same), stated(figure, h100())) << figure.name;
  }
}

TEST(WhatIf, FiguresOfTheProfile) {
  Efficiency efficiency;
  efficiency.nic_latency = efficiency.send_latency = efficiency.dispatch_latency = microseconds(8);
  for (CollectiveCurve& curve : efficiency.nvlink) curve.latency = microseconds(4);
  const auto after = changed_efficiency(
      efficiency, parse_what_ifs({"nic_latency=x0.5", "send_latency=+25%", "nvlink_latency=-75%", "host_time=x3"}));
  EXPECT_DOUBLE_EQ(after.nic_latency.value, 4e-6);
  EXPECT_DOUBLE_EQ(after.send_latency.value, 10e-6);
  EXPECT_DOUBLE_EQ(after.dispatch_latency.value, 8e-6);
  for (const CollectiveCurve& curve : after.nvlink) EXPECT_DOUBLE_EQ(curve.latency.value, 1e-6);
  EXPECT_EQ(after.host_op_factor, 3);
  EXPECT_EQ(changed_machine(h100(), parse_what_ifs({"nic_latency=x0.5"})).dump(), h100().dump());
}

TEST(WhatIf, TheSystemIsAName) {
  EXPECT_EQ(system_of(parse_what_ifs({"nic=x2", "system=gb300"})), "gb300");
  EXPECT_EQ(system_of(parse_what_ifs({"nic=x2"})), "");
}

TEST(WhatIf, WrongOnesAreRefused) {
  const std::string change =
      "must be a factor (x2), a share more or less (+50%, -20%) or a value in Gb/s, and leave more than 0, got ";
  expect_refused({"nic"}, "--what-if nic: must be FIGURE=CHANGE such as nic=x2, hbm=+50% or system=gb300");
  expect_refused({"nic=fast"}, "--what-if nic=fast: " + change + "fast");
  for (const char* none : {"x0", "-100%", "0", "x-1", "+50", "x", "%", "+%", "++5%", "nan", "xinf", "x1e999", "2x"})
    expect_refused({std::string("nic=") + none}, std::string("--what-if nic=") + none + ": " + change + none);
  expect_refused({"nic="}, "--what-if nic=: " + change + "nothing");
  expect_refused({"nic_latency=5"},
                 "--what-if nic_latency=5: must be a factor (x2) or a share more or less (+50%, -20%), and leave more "
                 "than 0, got 5");
  expect_refused({"nvlnk=x2"},
                 "--what-if nvlnk=x2: no figure nvlnk (did you mean nvlink?); there are system, flops, flops.fp64, "
                 "flops.fp32, flops.tf32, flops.bf16, flops.fp16, flops.fp8, flops.fp4, sms, hbm, memory, host_link, "
                 "gpus_per_node, nvlink_domain, nvlink, nic, oversubscription, host, nvlink_latency, nic_latency, "
                 "send_latency, dispatch_latency, host_time");
  expect_refused({"nic=x2", "nic=800"}, "--what-if nic=800: must change nic once");
  expect_refused({"flops.fp4=x2"}, "--what-if flops.fp4=x2: machine h100 does not state it");
  expect_refused({"system="}, "--what-if system=: must name a machine");
  expect_refused({"host="}, "--what-if host=: must be x86 or grace");
}

// What is no machine is refused by the rules for machines, under the changes that made it.
TEST(WhatIf, ChangesMustLeaveAMachine) {
  expect_refused({"nvlink_domain=12"},
                 "--what-if nvlink_domain=12: /nvlink_domain/value: must be a multiple of gpus_per_node (8), got 12.0");
  expect_refused({"sms=x0.5", "nic=x2", "gpus_per_node=x0.3"},
                 "--what-if sms=x0.5,nic=x2,gpus_per_node=x0.3: /gpus_per_node/value: must be a positive integer, got "
                 "2.4");
  expect_refused({"host=arm"}, "--what-if host=arm: /host/value: must be one of x86, grace, got \"arm\"");
}

}  // namespace
}  // namespace hw
