// Placements of layers against all that there are, against the stack's own, and against a case worked by hand.
#include "search/balance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "hw/node.h"
#include "models/stage_layout_text.h"
#include "search/placement.h"

namespace search {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;
constexpr hw::Bytes kEnough{1e15};

class Balance : public testing::Test {
 protected:
  models::Run run_of(const std::string& text) {
    return models::parse_run(hw::Node::parse(text, "run.json"), library_, false);
  }
  hw::Efficiency efficiency(const models::Run& run) {
    return hw::parse_efficiency(hw::Node::read_file(kRoot + "/calibration/profiles/default.json"), run.cluster);
  }

  models::Library library_{models::DataDirectory{kRoot}};
};

/// A model of 4096 columns and 14336 inner ones, with so many layers and tokens.
std::string dense(int layers, int vocabulary, const std::string& layout,
                  const std::string& framework = "megatron-bridge") {
  return R"({"model": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
             "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu",
             "tie_word_embeddings": false, "num_hidden_layers": )" +
         std::to_string(layers) + ", \"vocab_size\": " + std::to_string(vocabulary) +
         R"(}, "system": "h100", "precision": "bf16", "seq_len": 4096, "framework": ")" + framework + "\", " + layout +
         "}";
}

const std::string kSmall[] = {
    dense(9, 128256, R"("gpus": 4, "pp": 4, "gbs": 16, "mbs": 1)"),
    dense(11, 256000, R"("gpus": 2, "pp": 2, "vp": 2, "schedule": "interleaved", "gbs": 8, "mbs": 1)"),
    dense(10, 32000, R"("gpus": 2, "pp": 2, "vp": 3, "schedule": "interleaved", "gbs": 8, "mbs": 1)"),
    dense(13, 200000,
          R"("gpus": 16, "tp": 2, "sp": true, "pp": 4, "gbs": 32, "mbs": 1, "recompute": {"mode": "full"})"),
    dense(8, 256000, R"("gpus": 4, "pp": 4, "gbs": 32, "mbs": 2, "schedule": "zb-1p")", "generic")};

// The descent finds what judging every placement finds.
TEST_F(Balance, DescentFindsTheBestOfAll) {
  for (const std::string& text : kSmall) {
    const models::Run run = run_of(text);
    const Placements all = balance(run, efficiency(run), kEnough, 1, 1'000'000);
    const Placements descent = balance(run, efficiency(run), kEnough, 1, 0);
    EXPECT_TRUE(all.all);
    EXPECT_FALSE(descent.all);
    EXPECT_NEAR(descent.best.front().time / all.best.front().time, 1, 1e-9)
        << models::stage_layout_text(all.best.front().chunks) << " against "
        << models::stage_layout_text(descent.best.front().chunks);
  }
}

// And that is the best by predict() too, each placement predicted alone.
TEST_F(Balance, AgreesWithPredictOnEveryPlacement) {
  models::Run run = run_of(kSmall[0]);
  const hw::Efficiency machine = efficiency(run);
  const Placement found = balance(run, machine, kEnough, 1).best.front();
  ChunkSizes sizes = first_placement(elements(run.model), 4);
  hw::Seconds best{1e9};
  do {
    run.layout.chunks = chunks_of(sizes, run.model);
    best = std::min(best, sim::predict(run, machine, sim::Tier::closed_form).step_time);
  } while (next_placement(sizes));
  EXPECT_NEAR(found.time / best, 1, 1e-9);
  run.layout.chunks = found.chunks;
  EXPECT_NEAR(sim::predict(run, machine, sim::Tier::closed_form).memory.peak / found.peak, 1, 1e-9);
}

// Four stages, 14 layers, and a loss that takes as long as two of them: (14 + 2) / 4 = 4 layers' time a stage, so the
// last stage gets 2 layers, two fewer than the others.
TEST_F(Balance, LossAsHeavyAsTwoLayersTakesTheirPlace) {
  const models::Run run = run_of(dense(14, 123500, R"("gpus": 4, "pp": 4, "gbs": 64, "mbs": 1)"));
  models::Run even = run;
  even.layout.chunks = models::parse_stage_layout("Et*4|t*4|t*4|t*2L", run.model, 4);
  sim::SchedulePlans plans;
  const hw::Efficiency machine = efficiency(run);
  sim::SharedBlocks blocks(run, machine, plans);
  const auto loads = blocks.stage_loads(even);
  const double layer = loads[1].work.value / 4;
  ASSERT_NEAR((loads[3].work.value - 2 * layer) / layer, 2, 0.5);  // the case is what it claims to be
  EXPECT_EQ(models::stage_layout_text(balance(run, machine, kEnough, 1).best.front().chunks), "Et*4|t*4|t*4|t*2L");
}

// With less room than the fastest placement needs, another is found that fits.
TEST_F(Balance, KeepsWithinMemory) {
  const models::Run run = run_of(kSmall[0]);
  const Placements free = balance(run, efficiency(run), kEnough, 100);
  const auto least = std::ranges::min_element(free.best, {}, &Placement::peak);
  ASSERT_LT(least->peak, free.best.front().peak);
  const Placement tight = balance(run, efficiency(run), least->peak, 1).best.front();
  EXPECT_LE(tight.peak, least->peak);
  EXPECT_GE(tight.time, free.best.front().time);
}

// Published layouts of DeepSeek-V3 among them: by events never slower, within the memory of before or the room.
TEST_F(Balance, IsNeverWorseThanBefore) {
  const std::string deepseek =
      R"({"model": "deepseek-v3", "system": "b200", "gpus": 256, "framework": "megatron-bridge",
      "precision": "mxfp8", "seq_len": 4096, "gbs": 2048, "mbs": 1, "pp": 16, "ep": 8, "recompute": {"mode": "full"},
      "extra": {"pp_layout": "Et*4|(t*4|)*14tmL"}})";
  const std::string untold = R"({"model": "llama3-70b", "system": "h100", "gpus": 64, "framework": "megatron-bridge",
      "precision": "fp8-cs", "seq_len": 8192, "gbs": 128, "mbs": 1, "tp": 4, "sp": true, "pp": 8, "vp": 5})";
  for (const std::string& text : {deepseek, untold, kSmall[1]}) {
    const models::Run run = run_of(text);
    const Balanced balanced = balance_run(run, efficiency(run), 0.95 * run.cluster.gpu.memory);
    const sim::Prediction &before = balanced.before.prediction, &after = balanced.after.prediction;
    EXPECT_LE(after.step_time, before.step_time);
    EXPECT_LE(after.memory.peak, std::max(before.memory.peak, balanced.room));
    models::Run untouched = run;
    untouched.layout.chunks = models::split_stages(run.model, static_cast<int>(run.layout.chunks.size()), false);
    EXPECT_LE(after.step_time, sim::predict(untouched, efficiency(run), sim::Tier::events).step_time);
  }
}

// The peaks of all stages are predict()'s, which shows the fullest.
TEST_F(Balance, LoadsAreThoseOfPredictions) {
  const models::Run run = run_of(kSmall[3]);
  const hw::Efficiency machine = efficiency(run);
  sim::SchedulePlans plans;
  sim::SharedBlocks blocks(run, machine, plans);
  const auto loads = blocks.stage_loads(run);
  const sim::Prediction prediction = sim::predict(run, machine, sim::Tier::closed_form);
  ASSERT_EQ(loads.size(), 4u);
  const auto fullest = std::ranges::max_element(loads, {}, &sim::StageLoad::peak);
  EXPECT_EQ(fullest - loads.begin(), prediction.memory.stage);
  EXPECT_NEAR(fullest->peak / prediction.memory.peak, 1, 1e-12);
  EXPECT_NEAR(blocks.step_time(run) / prediction.step_time, 1, 1e-9);
}

}  // namespace
}  // namespace search
