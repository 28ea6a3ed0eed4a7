// A run laid out by OpenRun is the one that parse_run makes of the same description, or both refuse it by the same
// rule.
#include "models/open_run.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "hw/input_error.h"
#include "hw/node.h"
#include "models/run.h"

namespace models {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;
constexpr const char* kSchedules[] = {"1f1b", "interleaved", "gpipe", "zb-1p", "zb-2p", "zb-v"};

struct Case {
  const char* name;
  const char* description;  ///< without its braces and layout
};

std::string with_layout(const std::string& description, const LayoutKeys& keys) {
  const auto number = [](const char* key, int value) {
    return ", \"" + std::string(key) + "\": " + std::to_string(value);
  };
  return "{" + description + number("gpus", keys.gpus) + number("tp", keys.tp) + number("pp", keys.pp) +
         number("vp", keys.vp) + number("cp", keys.cp) + number("ep", keys.ep) + number("etp", keys.etp) +
         number("mbs", keys.mbs) + number("fsdp", keys.fsdp) + number("zero", static_cast<int>(keys.zero)) +
         ", \"sp\": " + (keys.sp ? "true" : "false") + ", \"schedule\": \"" +
         kSchedules[static_cast<int>(keys.schedule)] + "\"}";
}

void expect_same(const Run& laid_out, const Run& parsed, const std::string& text) {
  const Layout &a = laid_out.layout, &b = parsed.layout;
  EXPECT_EQ(a.dp, b.dp) << text;
  EXPECT_EQ(a.microbatches, b.microbatches) << text;
  EXPECT_EQ(a.flushes, b.flushes) << text;
  EXPECT_EQ(a.seq_len, b.seq_len) << text;
  EXPECT_EQ(a.gbs, b.gbs) << text;
  EXPECT_EQ(a.chunks, b.chunks) << text;
  EXPECT_EQ(a.cp_kind, b.cp_kind) << text;
  EXPECT_EQ(a.gpus_per_node, b.gpus_per_node) << text;
  const Traits &s = laid_out.traits, &t = parsed.traits;
  EXPECT_EQ(s.tp_overlap, t.tp_overlap) << text;
  EXPECT_EQ(s.p2p_overlap, t.p2p_overlap) << text;
  EXPECT_EQ(s.ep_overlap, t.ep_overlap) << text;
  EXPECT_EQ(s.optimizer_overlap, t.optimizer_overlap) << text;
  EXPECT_EQ(s.count_ends_in_split, t.count_ends_in_split) << text;
  EXPECT_EQ(s.distributed_optimizer, t.distributed_optimizer) << text;
  EXPECT_EQ(s.grad_dtype, t.grad_dtype) << text;
  EXPECT_EQ(s.param_gather_dtype, t.param_gather_dtype) << text;
  EXPECT_EQ(laid_out.model.learned_positions, parsed.model.learned_positions) << text;
}

class OpenRunCases : public testing::TestWithParam<Case> {};

/// Legal and illegal layouts of 16 GPUs, most sizes at a time.
TEST_P(OpenRunCases, LayOutAsParseRun) {
  Library library({kRoot});
  const std::string description = GetParam().description;
  const OpenRun open(hw::Node::parse("{" + description + "}", "open"), library);
  models::Run run = open.base();
  int legal = 0, refused = 0;
  const auto compare = [&](const LayoutKeys& keys) {
    const std::string text = with_layout(description, keys);
    const auto refusal = open.lay_out(keys, run);
    try {
      const models::Run parsed = parse_run(hw::Node::parse(text, "run"), library, false);
      ASSERT_FALSE(refusal) << text << refusal->key << " " << refusal->rule;
      expect_same(run, parsed, text);
      ++legal;
    } catch (const hw::InputError& error) {
      ASSERT_TRUE(refusal) << text << error.what();
      EXPECT_NE(std::string(error.what()).find("run: /" + refusal->key + ": " + refusal->rule), std::string::npos)
          << text << "\n"
          << error.what() << "\n"
          << refusal->rule;
      ++refused;
    }
  };
  for (const int tp : {1, 2, 3, 8})
    for (const int pp : {1, 4})
      for (const int vp : {1, 2, 40})
        for (const int cp : {1, 2})
          for (const int ep : {1, 8})
            for (const int mbs : {1, 3})
              for (const Schedule schedule : {Schedule::one_f_one_b, Schedule::interleaved, Schedule::zb_v})
                for (const auto& [fsdp, zero] :
                     {std::pair{0, Zero::optimizer}, std::pair{2, Zero::parameters}, std::pair{0, Zero::parameters}})
                  compare({.gpus = 16,
                           .tp = tp,
                           .pp = pp,
                           .vp = vp,
                           .cp = cp,
                           .ep = ep,
                           .sp = tp == 2,
                           .fsdp = fsdp,
                           .zero = zero,
                           .schedule = schedule,
                           .mbs = mbs});
  EXPECT_GT(legal, 10);
  EXPECT_GT(refused, 10);
}

INSTANTIATE_TEST_SUITE_P(
    Runs, OpenRunCases,
    testing::Values(
        Case{"dense", R"("model": "gpt3-175b", "system": "a100-80g", "framework": "megatron-lm", "precision": "bf16",
                         "seq_len": 4096, "gbs": 64)"},
        Case{"experts", R"("model": "qwen3-30b-a3b", "system": "h100", "framework": "megatron-bridge",
                           "precision": "fp8", "seq_len": 4096, "gbs": 64, "overlap": {"ep_a2a": true})"},
        Case{"sharded", R"("model": "llama3-8b", "system": "h100", "framework": "automodel", "precision": "bf16",
                           "seq_len": 4096, "gbs": 64, "lbs": 4)"},
        Case{"counted", R"("model": "llama3-8b", "system": "h100", "precision": "bf16", "seq_len": 8192, "gbs": 64,
                           "extra": {"account_for_embedding_in_pipeline_split": true,
                                     "account_for_loss_in_pipeline_split": true})"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(OpenRun, RefusesWhatFollowsFromTheLayout) {
  Library library({kRoot});
  const auto open = [&](const char* text) { return OpenRun(hw::Node::parse(text, "query.json"), library); };
  try {
    open(R"({"model": "llama3-8b", "system": "h100", "precision": "bf16", "seq_len": 8192, "gbs": 64, "dp": 2})");
    FAIL();
  } catch (const hw::InputError& error) {
    EXPECT_STREQ(error.what(), "query.json: /dp: must not be stated where the layout is left open, got 2");
  }
}

}  // namespace
}  // namespace models
