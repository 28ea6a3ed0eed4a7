#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/cli/stepcast_process.h"

namespace cli::test {
namespace {

std::string folder_of(const std::string& name, const std::string& gemms) {
  const std::string folder = scratch(name);
  std::filesystem::create_directories(folder);
  write(folder + "/gemm.csv", gemms);
  return folder;
}

/// Times of a GPU that reaches 500 TFLOP/s after 3 us, and nothing else.
std::string table_of(const std::string& system) {
  std::string text = "system,dtype,m,n,k,time_us,remark\n";
  for (long m : {256, 512, 1024, 2048, 4096, 8192})
    for (long n : {256, 512, 1024, 2048, 4096})
      for (long k : {256, 512, 1024, 2048, 4096})
        text += system + ",bfloat16," + std::to_string(m) + "," + std::to_string(n) + "," + std::to_string(k) + "," +
                std::to_string(3 + 2.0 * static_cast<double>(m * n * k) / 500e6) + ",x\n";
  return text;
}

TEST(CalibrateOps, WritesAProfileThatPredicts) {
  const std::string out = scratch("fitted.json");
  const Finished fit =
      stepcast({"calibrate", "ops", folder_of("tables_h100", table_of("h100-sxm") + "m1,bf16,1,1,1,1,\n"), "--out", out,
                "--markdown", scratch("fitted.md")});
  EXPECT_EQ(fit.status, 0) << fit.err;
  EXPECT_NE(fit.out.find("h100    bf16"), std::string::npos) << fit.out;
  EXPECT_NE(fit.out.find("gemm.csv: 1 rows not used: of system m1, which is not described\n"), std::string::npos);
  EXPECT_NE(fit.out.find("gemm.csv: columns not used: remark\n"), std::string::npos);
  EXPECT_NE(fit.out.find("nccl_intranode.csv: not there\n"), std::string::npos);
  EXPECT_NE(read(out).find("\"grid\": ["), std::string::npos);
  EXPECT_NE(read(scratch("fitted.md")).find("| h100 | bf16 |"), std::string::npos);
  const Finished predicted = stepcast({"predict", "configs/runs/deepseek-v3-h100-1024.json", "--profile", out});
  EXPECT_EQ(predicted.status, 0) << predicted.err;
}

TEST(CalibrateOps, RefusesWithThePlace) {
  const Finished none = stepcast({"calibrate", "ops"});
  EXPECT_EQ(none.status, 2);
  EXPECT_NE(none.err.find("calibrate ops: needs DIR, a folder of operator tables (docs/calibration.md)"),
            std::string::npos);
  const std::string folder = folder_of("tables_bad", "system,dtype,m,n,k,time_us\nh100,int4,1,1,1,1\n");
  const Finished bad = stepcast({"calibrate", "ops", folder});
  EXPECT_EQ(bad.status, 2);
  EXPECT_NE(bad.err.find("gemm.csv:2: dtype: must be bfloat16, float16, float32, fp8, fp8_block, mxfp8 or nvfp4, got "
                         "\"int4\"\n"),
            std::string::npos)
      << bad.err;
}

}  // namespace
}  // namespace cli::test
