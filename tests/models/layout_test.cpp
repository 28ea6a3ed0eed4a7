#include "models/layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace models {
namespace {

Model layers_only(int layers, int mtp) {
  Model model;
  model.layers.assign(static_cast<std::size_t>(layers), 0);
  model.mtp.depth = mtp;
  return model;
}

std::vector<int> layer_counts(const std::vector<StageChunk>& chunks) {
  std::vector<int> counts;
  counts.reserve(chunks.size());
  for (const StageChunk& chunk : chunks) counts.push_back(chunk.layers);
  return counts;
}

void expect_contiguous(const std::vector<StageChunk>& chunks, int layers) {
  int next = 0;
  for (const StageChunk& chunk : chunks) {
    EXPECT_EQ(chunk.first_layer, next);
    next += chunk.layers;
  }
  EXPECT_EQ(next, layers);
}

std::string refusal(const std::string& text, int layers, int mtp, int stages) {
  try {
    parse_stage_layout(text, layers_only(layers, mtp), stages);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

// DeepSeek-V3 on 16 chunks: 4 layers, 14 times 4, then 1 layer with MTP and loss: 4 + 56 + 1 = 61.
TEST(StageLayout, DeepSeekOn16Chunks) {
  const auto chunks = parse_stage_layout("Et*4|(t*4|)*14tmL", layers_only(61, 1), 16);
  std::vector<int> expected(16, 4);
  expected.back() = 1;
  EXPECT_EQ(layer_counts(chunks), expected);
  expect_contiguous(chunks, 61);
  EXPECT_EQ(chunks.front(), (StageChunk{.embedding = true, .first_layer = 0, .layers = 4}));
  EXPECT_EQ(chunks.back(), (StageChunk{.first_layer = 60, .layers = 1, .mtp = 1, .loss = true}));
  // Written out, as the recipes of other systems do.
  EXPECT_EQ(
      parse_stage_layout("Et*4|t*4|t*4|t*4|t*4|t*4|t*4|t*4|t*4|t*4|t*4|t*4|t*4|t*4|t*4|tmL", layers_only(61, 1), 16),
      chunks);
}

// 1 layer, 30 times 2, and a last stage of MTP and loss alone: 61 layers on 32 chunks.
TEST(StageLayout, LossOnlyLastStage) {
  const auto chunks = parse_stage_layout("Et|(tt|)*30mL", layers_only(61, 1), 32);
  expect_contiguous(chunks, 61);
  EXPECT_EQ(chunks[1].layers, 2);
  EXPECT_EQ(chunks.back(), (StageChunk{.first_layer = 61, .mtp = 1, .loss = true}));
}

// 3 + 29*2 = 61, MTP alone, loss alone.
TEST(StageLayout, MtpAndLossOnStagesOfTheirOwn) {
  const auto chunks = parse_stage_layout("Et*3|(tt|)*29m|L", layers_only(61, 1), 32);
  EXPECT_EQ(chunks[30], (StageChunk{.first_layer = 61, .mtp = 1}));
  EXPECT_EQ(chunks[31], (StageChunk{.first_layer = 61, .loss = true}));
}

TEST(StageLayout, EightStages) {
  const auto chunks = parse_stage_layout("Et*8|t*8|t*8|t*8|t*8|t*8|t*8|t*5mL", layers_only(61, 1), 8);
  EXPECT_EQ(layer_counts(chunks), (std::vector<int>{8, 8, 8, 8, 8, 8, 8, 5}));
}

TEST(StageLayout, OneLetterStandsForAllDepthsOrOneEach) {
  EXPECT_EQ(parse_stage_layout("Ett|mL", layers_only(2, 3), 2).back().mtp, 3);
  const auto each = parse_stage_layout("Ettm|mL", layers_only(2, 2), 2);
  EXPECT_EQ(each[0].mtp, 1);
  EXPECT_EQ(each[1].mtp, 1);
}

TEST(StageLayout, AnMWithoutMtpIsEmpty) { EXPECT_EQ(parse_stage_layout("Et|tmL", layers_only(2, 0), 2).back().mtp, 0); }

TEST(StageLayout, Refusals) {
  EXPECT_EQ(refusal("Et*4|tL", 6, 0, 2), "must place the model's 6 layers, places 5");
  EXPECT_EQ(refusal("Et*4|ttL", 6, 0, 3), "must have pp*vp = 3 stages, has 2");
  EXPECT_EQ(refusal("t*4|ttL", 6, 0, 2), "must begin with the embedding (E), once");
  EXPECT_EQ(refusal("Ett|EtL", 3, 0, 2), "must begin with the embedding (E), once");
  EXPECT_EQ(refusal("Ett|tLt", 4, 0, 2), "must end with the loss (L)");
  EXPECT_EQ(refusal("Ett|tt", 4, 0, 2), "must end with the loss (L)");
  EXPECT_EQ(refusal("Ett|mtL", 3, 1, 2), "must have its layers (t) before its MTP modules (m)");
  EXPECT_EQ(refusal("Ett|tL", 3, 1, 2), "must have one m for all MTP depths or one for each of 1, has 0");
  EXPECT_EQ(refusal("Ett|mmL", 2, 3, 2), "must have one m for all MTP depths or one for each of 3, has 2");
  EXPECT_EQ(refusal("Ett||L", 2, 0, 3), "must not have an empty stage");
  EXPECT_EQ(refusal("EttL|", 2, 0, 2), "must not have an empty stage");
  EXPECT_EQ(refusal("E(tt|L", 2, 0, 2), "has a `(` without its `)`");
  EXPECT_EQ(refusal("Ett)|L", 2, 0, 2), "has a `)` without its `(`");
  EXPECT_EQ(refusal("Et*|L", 2, 0, 2), "must have a positive number after `*`");
  EXPECT_EQ(refusal("Et*0|L", 2, 0, 2), "must have a positive number after `*`");
  EXPECT_EQ(refusal("E((t*9999)*9999)*9999|L", 2, 0, 2), "must not have more than 100000 elements");
  EXPECT_EQ(refusal("Ex|L", 2, 0, 2), "must consist of E, t, m, L, |, *n and groups in (), has `x`");
  EXPECT_EQ(refusal("(((((((((t)))))))))", 2, 0, 2), "must not nest groups deeper than 8");
  // Repeats of nothing would take time, and never reach the limit of elements.
  EXPECT_EQ(refusal("(()*99999)*99999Et|tL", 2, 0, 2), "must not have an empty group `()`");
  EXPECT_EQ(refusal({"E\0t|tL", 6}, 2, 0, 2), "must consist of E, t, m, L, |, *n and groups in (), has `\\x00`");
  EXPECT_EQ(refusal("E\xc3\xa9", 2, 0, 2), "must consist of E, t, m, L, |, *n and groups in (), has `\\xc3`");
}

// AutoModel, DeepSeek-V3 on 32 stages: 61 mod 32 = 29 stages of 2 layers, then 3 of 1.
TEST(SplitStages, FirstStagesHoldOneMore) {
  const auto chunks = split_stages(layers_only(61, 1), 32, false);
  const auto counts = layer_counts(chunks);
  EXPECT_EQ(std::count(counts.begin(), counts.begin() + 29, 2), 29);
  EXPECT_EQ(std::count(counts.begin() + 29, counts.end(), 1), 3);
  expect_contiguous(chunks, 61);
  EXPECT_TRUE(chunks.front().embedding);
  EXPECT_TRUE(chunks.back().loss);
  EXPECT_EQ(chunks.back().mtp, 1);
}

// Qwen3-235B: 94 layers + embedding + loss = 96 slots; on 24 chunks 3, 4 ... 4, 3.
TEST(SplitStages, CountedEnds) {
  const auto counts = layer_counts(split_stages(layers_only(94, 0), 24, true));
  EXPECT_EQ(counts.front(), 3);
  EXPECT_EQ(counts[1], 4);
  EXPECT_EQ(counts.back(), 3);
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), 94);
}

// 22 layers on 24 chunks: the embedding and the loss have chunks of their own.
TEST(SplitStages, CountedEndsMayStandAlone) {
  const auto counts = layer_counts(split_stages(layers_only(22, 0), 24, true));
  EXPECT_EQ(counts.front(), 0);
  EXPECT_EQ(counts.back(), 0);
  EXPECT_EQ(std::count(counts.begin(), counts.end(), 1), 22);
}

// 15 layers and the loss on 4 stages.
TEST(SplitStages, OneCountedEnd) {
  EXPECT_EQ(layer_counts(split_stages(layers_only(15, 0), 4, false, true)), (std::vector<int>{4, 4, 4, 3}));
}

TEST(SplitStages, OneStageHoldsAll) {
  const auto chunks = split_stages(layers_only(7, 0), 1, true);
  EXPECT_EQ(chunks, (std::vector<StageChunk>{{.embedding = true, .first_layer = 0, .layers = 7, .loss = true}}));
}

}  // namespace
}  // namespace models
