// Where published runs stand in the spaces of their frameworks.
#include "search/standing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hw/node.h"
#include "search/open_query.h"

namespace search {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;

std::vector<hw::Node> reference_rows() {
  std::vector<hw::Node> rows;
  for (const hw::Node::Line& line : hw::Node::read_lines(kRoot + "/configs/runs/reference.jsonl"))
    rows.push_back(*line.node);
  return rows;
}

/// Rows of 8 GPUs, whose spaces are small.
std::vector<hw::Node> small_rows() {
  std::vector<hw::Node> rows = reference_rows();
  std::erase_if(rows, [](const hw::Node& row) { return row.at("gpus").positive_int() > 8; });
  return rows;
}

TEST(Standing, RankIsThatAmongAllThatFit) {
  models::Library library({kRoot});
  const hw::Node profile = hw::Node::read_file(kRoot + "/calibration/profiles/default.json");
  const std::vector<hw::Node> rows = small_rows();
  ASSERT_EQ(rows.size(), 3u);
  for (const hw::Node& row : rows) {
    const models::Run run = models::parse_run(row, library, true);
    const Standing standing = standing_of(row, run, library, profile, 2, {});
    EXPECT_EQ(standing.missing, "") << run.id;
    EXPECT_TRUE(standing.fits) << run.id;
    Query query = query_around(row, run, library);
    query.prune = false;
    query.rerank = 1'000'000;
    const Answer all = search(query, library, profile, 2, {});
    std::int64_t faster = 0;
    for (const Row& each : all.rows) faster += each.candidate.time < (1 - 1e-9) * standing.own_closed_form;
    EXPECT_EQ(standing.rank(), 1 + faster) << run.id;
    EXPECT_EQ(standing.that_fit(), static_cast<std::int64_t>(all.rows.size())) << run.id;
    EXPECT_GE(standing.gain.ratio - 1, -0.01) << run.id;
    EXPECT_LE(standing.gain.low, standing.gain.ratio);
    EXPECT_GE(standing.gain.high, standing.gain.ratio);
  }
}

// Nothing that says how the run is laid out is left, and the batch and the stack's options are.
TEST(Standing, OpensARun) {
  const hw::Node open = opened(hw::Node::parse(R"({"id": "x", "model": "m", "gpus": 8, "tp": 2, "gbs": 4, "mbs": 1,
      "recompute": {"mode": "full"}, "optimizer": {"name": "adam", "distributed": true},
      "overlap": {"fsdp": {"reshard_after_forward": true, "reduce_dtype": "fp32"},
                  "pp": {"schedule": "1F1B", "local_batch_size": 8, "flushes_per_step": 2}},
      "extra": {"pp_layout": "EtL", "text_tokens": 512}, "measured": {"step_time_s": 1}})",
                                               "run.json"));
  EXPECT_EQ(open.dump(),
            R"({"model":"m","gpus":8,"gbs":4,"optimizer":{"name":"adam"},"overlap":{"fsdp":{"reduce_dtype":"fp32"},)"
            R"("pp":{"local_batch_size":8}},"extra":{"text_tokens":512}})");
}

// A layout that the framework's rules keep out is said to be missing, with the rule.
TEST(Standing, SaysWhyALayoutIsMissing) {
  models::Library library({kRoot});
  const hw::Node profile = hw::Node::read_file(kRoot + "/calibration/profiles/default.json");
  const hw::Node row = hw::Node::parse(R"({"model": "qwen3-30b-a3b", "system": "h100", "gpus": 8, "precision": "bf16",
      "framework": "megatron-bridge", "seq_len": 4096, "gbs": 8, "mbs": 1, "tp": 2, "ep": 4})",
                                       "run.json");
  const Standing standing = standing_of(row, models::parse_run(row, library, false), library, profile, 2, {});
  EXPECT_EQ(standing.missing,
            "Megatron-Core transformer_config.py: experts with tensor parallelism need sequence parallelism");
}

}  // namespace
}  // namespace search
