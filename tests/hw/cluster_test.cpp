#include "hw/cluster.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <ostream>
#include <string>

#include "hw/input_error.h"

namespace {

using hw::DType;

std::string read(const std::string& stem) {
  std::ifstream file(STEPCAST_SOURCE_DIR "/hw/" + stem + ".json");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string refusal(const std::string& text) {
  try {
    hw::parse_cluster(hw::Node::parse(text, "x.json"));
  } catch (const hw::InputError& error) {
    return error.what();
  }
  return "accepted";
}

/// The smallest valid machine, round numbers.
const std::string kMachine = R"({"name": "tiny",
  "gpu": {"name": "toy", "architecture": "sm_100a", "sm_count": {"value": 10, "source": "s"},
    "memory_GiB": {"value": 2, "source": "s"}, "memory_bandwidth_TBps": {"value": 1.5, "source": "s", "note": "n"},
    "peak_dense_TFLOPS": {"fp32": {"value": 1, "source": "s"}, "tf32": {"value": 2, "source": "s"},
      "bf16": {"value": 4, "source": "s"}, "fp8": {"value": 8, "source": "s"}, "fp4": null},
    "host_link_GBps": {"value": 32, "source": "s"}},
  "gpus_per_node": {"value": 4, "source": "s"}, "nvlink_domain": {"value": 8, "source": "s"},
  "nvlink_GBps": {"value": 100, "source": "s"}, "nic_Gbps": {"value": 80, "source": "s"},
  "rails": {"value": 2, "source": "s"}, "oversubscription": {"value": 1.5, "source": "s"},
  "host": {"value": "grace", "source": "s"}})";

/// Refusal of kMachine with one passage replaced.
std::string refusal_with(const std::string& passage, const std::string& replacement) {
  std::string text = kMachine;
  const std::size_t found = text.find(passage);
  EXPECT_NE(found, std::string::npos) << passage;
  return refusal(text.replace(found, passage.size(), replacement));
}

TEST(ClusterUnits, AreConvertedToBaseUnits) {
  const hw::Cluster c = hw::parse_cluster(hw::Node::parse(kMachine, "x.json"));
  EXPECT_EQ(c.name, "tiny");
  EXPECT_EQ(c.gpu.name, "toy");
  EXPECT_EQ(c.gpu.architecture, "sm_100a");
  EXPECT_EQ(c.gpu.sm_count, 10);
  EXPECT_EQ(c.gpu.memory.value, 2147483648.0);
  EXPECT_EQ(c.gpu.memory_bandwidth.value, 1.5e12);
  EXPECT_EQ(c.gpu.host_link.value, 32e9);
  EXPECT_EQ(c.gpu.tdp_watts, 0);  // not stated
  EXPECT_EQ(c.nvlink.value, 100e9);
  EXPECT_EQ(c.nic.value, 10e9);  // 80 Gbit/s
  EXPECT_EQ(c.rails, 2);
  EXPECT_EQ(c.oversubscription, 1.5);
  EXPECT_TRUE(c.grace);
}

double peak(const hw::Cluster& cluster, DType type) {
  return cluster.gpu.peak[static_cast<std::size_t>(type)].value / 1e12;
}

TEST(ClusterPeak, FormatsTakeTheRateOfTheirUnit) {
  const hw::Cluster c = hw::parse_cluster(hw::Node::parse(kMachine, "x.json"));
  EXPECT_EQ(peak(c, DType::fp32), 2);  // tf32, as the GPU has it
  EXPECT_EQ(peak(c, DType::bf16), 4);
  EXPECT_EQ(peak(c, DType::fp8), 8);
  EXPECT_EQ(peak(c, DType::fp8_block), 8);
  EXPECT_EQ(peak(c, DType::mxfp8), 8);
  for (const DType none : {DType::fp64, DType::fp16, DType::nvfp4, DType::int32, DType::int64, DType::boolean}) {
    EXPECT_EQ(peak(c, none), 0) << hw::name(none);
  }
}

TEST(ClusterPeak, CpuHasNoTensorFormats) {
  std::string text = kMachine;
  text.replace(text.find("sm_100a"), 7, "x86_64");
  EXPECT_EQ(refusal(text), R"(x.json: /gpu/peak_dense_TFLOPS/tf32/value: needs sm_80 or later, got 2)");
  text.replace(text.find(R"("tf32": {"value": 2)"), 19, R"("fp64": {"value": 2)");
  EXPECT_EQ(refusal(text), R"(x.json: /gpu/peak_dense_TFLOPS/fp8/value: needs sm_89 or later, got 8)");
  text.replace(text.find(R"({"value": 8, "source": "s"}, "fp4")"), 27, "null");
  const hw::Cluster c = hw::parse_cluster(hw::Node::parse(text, "x.json"));
  EXPECT_EQ(peak(c, DType::fp32), 1);
  EXPECT_EQ(peak(c, DType::fp64), 2);
}

TEST(ClusterRefusals, KeysAndSources) {
  EXPECT_EQ(refusal("[]"), "x.json: /: must be an object, got []");
  EXPECT_EQ(refusal("{}"), "x.json: /: missing key \"gpus_per_node\"");
  EXPECT_EQ(refusal_with(R"("rails")", R"("rail")"), "x.json: /: unknown key \"rail\" (did you mean \"rails\"?)");
  EXPECT_EQ(refusal_with(R"("sm_count")", R"("sms")").substr(0, 40), "x.json: /gpu: unknown key \"sms\" (known: ");
  EXPECT_EQ(refusal_with(R"("nic_Gbps")", R"("nic_GBps")"),
            "x.json: /: unknown key \"nic_GBps\" (did you mean \"nic_Gbps\"?)");
  EXPECT_EQ(refusal_with(R"("bf16")", R"("bf61")"),
            "x.json: /gpu/peak_dense_TFLOPS: unknown key \"bf61\" (known: fp64, fp32, tf32, bf16, fp16, fp8, fp4)");
  EXPECT_EQ(refusal_with(R"({"value": 4, "source": "s"}, "fp8")", R"(4, "fp8")"),
            "x.json: /gpu/peak_dense_TFLOPS/bf16: must be an object with value and source, got 4");
  EXPECT_EQ(refusal_with(R"("rails": {"value": 2, "source": "s"})", R"("rails": {"value": 2})"),
            "x.json: /rails: missing key \"source\"");
  EXPECT_EQ(refusal_with(R"("rails": {"value": 2, "source": "s"})", R"("rails": {"value": 2, "source": ""})"),
            "x.json: /rails/source: must be a non-empty string, got \"\"");
  EXPECT_EQ(refusal_with(R"("note": "n")", R"("note": 1)"),
            "x.json: /gpu/memory_bandwidth_TBps/note: must be a non-empty string, got 1");
  EXPECT_EQ(refusal_with(R"("note": "n")", R"("notes": "n")"),
            "x.json: /gpu/memory_bandwidth_TBps: unknown key \"notes\" (did you mean \"note\"?)");
  EXPECT_EQ(refusal_with(R"("oversubscription": {"value": 1.5, "source": "s"},)", ""),
            "x.json: /: missing key \"oversubscription\"");
  EXPECT_EQ(refusal_with(R"("name": "tiny")", R"("name": 7)"), "x.json: /name: must be a non-empty string, got 7");
}

TEST(ClusterRefusals, ImpossibleMachines) {
  EXPECT_EQ(refusal_with(R"("nvlink_domain": {"value": 8)", R"("nvlink_domain": {"value": 6)"),
            "x.json: /nvlink_domain/value: must be a multiple of gpus_per_node (4), got 6");
  EXPECT_EQ(refusal_with(R"("nvlink_GBps": {"value": 100)", R"("nvlink_GBps": {"value": 0)"),
            "x.json: /nvlink_GBps/value: must be a positive number, got 0");
  EXPECT_EQ(refusal_with(R"("nic_Gbps": {"value": 80)", R"("nic_Gbps": {"value": -80)"),
            "x.json: /nic_Gbps/value: must be a positive number, got -80");
  EXPECT_EQ(refusal_with(R"({"value": 1.5, "source": "s", "note")", R"({"value": 1e300, "source": "s", "note")"),
            "x.json: /gpu/memory_bandwidth_TBps/value: is out of range, got 1e+300");
  EXPECT_EQ(refusal_with(R"("rails": {"value": 2)", R"("rails": {"value": 0)"),
            "x.json: /rails/value: must be a positive integer, got 0");
  EXPECT_EQ(refusal_with(R"("oversubscription": {"value": 1.5)", R"("oversubscription": {"value": 0.5)"),
            "x.json: /oversubscription/value: must be at least 1 (1 = full bisection bandwidth), got 0.5");
  EXPECT_EQ(refusal_with(R"("grace")", R"("arm")"), "x.json: /host/value: must be one of x86, grace, got \"arm\"");
  EXPECT_EQ(refusal_with(R"("gpus_per_node": {"value": 4)", R"("gpus_per_node": {"value": 4.5)"),
            "x.json: /gpus_per_node/value: must be a positive integer, got 4.5");
}

TEST(ClusterRefusals, ImpossibleGpus) {
  EXPECT_EQ(refusal_with("sm_100a", "sm100"),
            "x.json: /gpu/architecture: must be a compute capability such as sm_90, or x86_64 or aarch64 for a CPU, "
            "got \"sm100\"");
  for (const char* wrong : {"sm_", "sm_-90", "sm_90x", "sm_90aa", "sm_0", "sm_99999999999", "SM_90"}) {
    EXPECT_NE(refusal_with("sm_100a", wrong).find("must be a compute capability"), std::string::npos) << wrong;
  }
  EXPECT_EQ(refusal_with("sm_100a", "sm_80"), "x.json: /gpu/peak_dense_TFLOPS/fp8/value: needs sm_89 or later, got 8");
  EXPECT_EQ(refusal_with(R"("sm_100a", "sm_count")", R"("sm_90", "sm_count")"), "accepted");
  EXPECT_EQ(refusal_with(R"("tf32": {"value": 2)", R"("tf32": {"value": 0.5)"),
            "x.json: /gpu/peak_dense_TFLOPS/tf32/value: must not be slower than fp32, got 0.5");
  EXPECT_EQ(refusal_with(R"("fp32": {"value": 1, "source": "s"})", R"("fp32": null)"),
            "x.json: /gpu/peak_dense_TFLOPS: missing key \"fp32\"");
  EXPECT_EQ(refusal_with(R"("memory_GiB": {)", R"("memory_bytes": {"value": 1, "source": "s"}, "memory_GiB": {)")
                .substr(0, 63),
            "x.json: /gpu: must have one of memory_bytes, memory_GiB, got {\"");
  EXPECT_EQ(refusal_with(R"("memory_GiB": {"value": 2)", R"("memory_bytes": {"value": 2.5)"),
            "x.json: /gpu/memory_bytes/value: must be a positive integer, got 2.5");
  EXPECT_EQ(refusal_with(R"("memory_GiB": {"value": 2, "source": "s"},)", "").substr(0, 63),
            "x.json: /gpu: must have one of memory_bytes, memory_GiB, got {\"");
}

/// A machine as published, in the units in which it is published (sources: see the files).
struct Published {
  const char* stem;
  const char* architecture;
  int sm_count;
  double memory_bytes;
  double memory_TBps;
  double tf32, bf16, fp8, mxfp8, fp4;  ///< dense TFLOP/s
  double host_GBps, tdp_W;
  int gpus_per_node, nvlink_domain;
  double nvlink_GBps, nic_Gbps;
  int rails;
  bool grace;
};

std::ostream& operator<<(std::ostream& out, const Published& machine) { return out << machine.stem; }

class ClusterFile : public testing::TestWithParam<Published> {};

TEST_P(ClusterFile, StatesThePublishedFigures) {
  const Published& p = GetParam();
  const std::string stem = p.stem;
  const hw::Cluster c = hw::parse_cluster(hw::Node::read_file(STEPCAST_SOURCE_DIR "/hw/" + stem + ".json"));
  EXPECT_EQ(c.name, stem);
  EXPECT_EQ(c.gpu.architecture, p.architecture);
  EXPECT_EQ(c.gpu.sm_count, p.sm_count);
  EXPECT_EQ(c.gpu.memory.value, p.memory_bytes);
  EXPECT_DOUBLE_EQ(c.gpu.memory_bandwidth.value, p.memory_TBps * 1e12);
  EXPECT_DOUBLE_EQ(peak(c, DType::fp32), p.tf32);
  EXPECT_DOUBLE_EQ(peak(c, DType::bf16), p.bf16);
  EXPECT_DOUBLE_EQ(peak(c, DType::fp16), p.bf16);
  EXPECT_DOUBLE_EQ(peak(c, DType::fp8), p.fp8);
  EXPECT_DOUBLE_EQ(peak(c, DType::fp8_block), p.fp8);
  EXPECT_DOUBLE_EQ(peak(c, DType::mxfp8), p.mxfp8);
  EXPECT_DOUBLE_EQ(peak(c, DType::nvfp4), p.fp4);
  EXPECT_DOUBLE_EQ(c.gpu.host_link.value, p.host_GBps * 1e9);
  EXPECT_DOUBLE_EQ(c.gpu.tdp_watts, p.tdp_W);
  EXPECT_EQ(c.gpus_per_node, p.gpus_per_node);
  EXPECT_EQ(c.nvlink_domain, p.nvlink_domain);
  EXPECT_DOUBLE_EQ(c.nvlink.value, p.nvlink_GBps * 1e9);
  EXPECT_DOUBLE_EQ(c.nic.value, p.nic_Gbps * 1e9 / 8);
  EXPECT_EQ(c.rails, p.rails);
  EXPECT_EQ(c.oversubscription, 1);
  EXPECT_EQ(c.grace, p.grace);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Machines, ClusterFile, testing::Values(
    //         file        arch      SMs  memory          TB/s   tf32   bf16  fp8   mxfp8 fp4    host  W    node domain nvl  nic rails grace
    Published{"a100-40g", "sm_80",  108,  42949672960.0, 1.555, 156,    312,    0,    0,     0,   32,  400, 8,  8, 300, 200, 8, false},
    Published{"a100-80g", "sm_80",  108,  85899345920.0, 2.039, 156,    312,    0,    0,     0,   32,  400, 8,  8, 300, 200, 8, false},
    Published{"h100",     "sm_90",  132,  85899345920.0, 3.35,  494.5,  989, 1979,    0,     0,   63,  700, 8,  8, 450, 400, 8, false},
    Published{"h200",     "sm_90",  132, 151397597184.0, 4.8,   494.5,  989, 1979,    0,     0,   63,  700, 8,  8, 450, 400, 8, false},
    Published{"h800",     "sm_90",  132,  85899345920.0, 3.35,  494.5,  989, 1979,    0,     0,   63,  700, 8,  8, 200, 400, 8, false},
    Published{"b200",     "sm_100", 148, 193273528320.0, 7.7,  1100,   2250, 4500, 4500,  9000,   64, 1000, 8,  8, 900, 400, 8, false},
    Published{"b300",     "sm_103", 148, 288400343040.0, 7.75, 1125,   2250, 4500, 4500, 14000,  128, 1100, 8,  8, 900, 800, 8, false},
    Published{"gb200",    "sm_100", 152, 198674743296.0, 8.0,  1250,   2500, 5000, 5000, 10000,  450, 1200, 4, 72, 900, 400, 4, true},
    Published{"gb300",    "sm_103", 152, 298013687808.0, 8.0,  1250,   2500, 5000, 5000, 15000,  450, 1400, 4, 72, 900, 800, 4, true}));
// clang-format on

TEST(ClusterFuzz, EveryPrefixOfAMachineIsRefused) {
  const std::string text = read("h100");
  const std::size_t end = text.rfind('}');
  ASSERT_NE(end, std::string::npos);
  for (std::size_t size = 0; size <= end; ++size) {
    const std::string answer = refusal(text.substr(0, size));
    ASSERT_NE(answer, "accepted") << size;
    ASSERT_EQ(answer.find('\n'), std::string::npos) << answer;
  }
  EXPECT_EQ(refusal(text.substr(0, end + 1)), "accepted");
}

TEST(ClusterFuzz, EveryChangedByteIsReadOrRefused) {
  for (std::size_t i = 0; i < kMachine.size(); ++i) {
    for (const char byte : {'\0', '\n', '"', '-', '9', 'e', '{', ']', '~', '\xff'}) {
      std::string text = kMachine;
      text[i] = byte;
      const std::string answer = refusal(text);  // anything but InputError fails the test
      ASSERT_EQ(answer.find('\n'), std::string::npos) << answer;
    }
  }
}

}  // namespace
