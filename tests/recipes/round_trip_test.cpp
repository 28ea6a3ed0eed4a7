// A run written as a recipe and read again is the same run: every published run, in the format of its framework.
#include <gtest/gtest.h>

#include <cctype>
#include <ostream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "hw/input_error.h"
#include "models/recipes/differences.h"
#include "models/recipes/recipe.h"
#include "models/recipes/run_facts.h"
#include "tests/recipes/shipped.h"

namespace {

using recipes::Format;

struct File {
  const char* name;
  const char* framework;
  Format format;
};

void PrintTo(const File& file, std::ostream* out) { *out << file.name; }

class RoundTrip : public ::testing::TestWithParam<File> {};

recipes::Imported import(const std::string& text, Format format, models::Library& library) {
  return recipes::to_run(recipes::read_recipe(text, "recipe", format), {}, library);
}

std::vector<std::string> facts(const hw::Node& run, models::Library& library) {
  return recipes::run_facts(models::parse_run(run, library, false));
}

/// A line of the new text that is not in the old one, or the reverse.
int changed_lines(const std::string& before, const std::string& after) {
  std::multiset<std::string> lines;
  std::istringstream old_text(before), new_text(after);
  for (std::string line; std::getline(old_text, line);) lines.insert(line);
  int changed = 0;
  for (std::string line; std::getline(new_text, line);) {
    const auto found = lines.find(line);
    found == lines.end() ? static_cast<void>(++changed) : static_cast<void>(lines.erase(found));
  }
  return changed;
}

// A search would change these; the text changes in the lines that say so, and in no other.
TEST_P(RoundTrip, OfPublishedRunsChangedInPlace) {
  models::Library library(recipes_test::data());
  for (const recipes_test::Row& row : recipes_test::valid_rows(GetParam().name, library)) {
    if (row.run.at("framework").text() != GetParam().framework) continue;
    SCOPED_TRACE(row.id);
    const std::string text = recipes::write(GetParam().format, row.run, library).text;
    const recipes::Recipe recipe = recipes::read_recipe(text, "recipe", GetParam().format);
    const hw::Node before = recipes::to_run(recipe, {}, library).run;
    recipes::Value after = recipes::from_node(before);
    recipes::set(after, "/gbs", 2 * before.at("gbs").positive_int());
    recipes::set(after, "/seq_len", 2 * before.at("seq_len").positive_int());
    recipes::erase(after, "/extra/mock_latents");
    const hw::Node wanted = recipes::to_node(after, "after");
    const std::string edited = recipes::with_changes(recipe, before, wanted, {}, library);
    EXPECT_EQ(facts(import(edited, GetParam().format, library).run, library), facts(wanted, library)) << edited;
    EXPECT_LE(changed_lines(text, edited), 2) << edited;
  }
}

TEST_P(RoundTrip, OfPublishedRuns) {
  models::Library library(recipes_test::data());
  int count = 0;
  for (const recipes_test::Row& row : recipes_test::valid_rows(GetParam().name, library)) {
    if (row.run.at("framework").text() != GetParam().framework) continue;
    SCOPED_TRACE(row.id);
    ++count;
    try {
      const std::string first = recipes::write(GetParam().format, row.run, library).text;
      const recipes::Imported once = import(first, GetParam().format, library);
      EXPECT_EQ(once.missing, std::vector<std::string>{});
      EXPECT_EQ(facts(once.run, library), facts(row.run, library)) << first;
      // From the first import on not even a spelling changes.
      const std::string second = recipes::write(GetParam().format, once.run, library).text;
      EXPECT_EQ(import(second, GetParam().format, library).run.dump(), once.run.dump()) << second;
      for (const recipes::Ignored& ignored : once.ignored)
        EXPECT_NE(ignored.why.substr(0, 14), "not understood") << ignored.key;
      EXPECT_EQ(recipes::read_recipe(first, "recipe").format, GetParam().format) << first;
    } catch (const hw::InputError& error) {
      ADD_FAILURE() << error.what();
    }
  }
  EXPECT_GT(count, 0);
}

/// Layouts of a model on 64 GPUs; those that no run allows are left out by the test.
std::vector<std::string> torchtitan_runs() {
  std::vector<std::string> runs;
  for (const char* layout : {R"("fsdp": 64, "zero": 3)", R"("fsdp": 8, "zero": 3)", R"("fsdp": 64, "zero": 2)",
                             R"("tp": 8, "sp": true, "fsdp": 8, "zero": 3)", R"("cp": 4, "fsdp": 64, "zero": 3)",
                             R"("pp": 4, "fsdp": 16, "zero": 2, "lbs": 4)",
                             R"("pp": 4, "vp": 2, "schedule": "interleaved", "fsdp": 16, "zero": 3, "lbs": 8)",
                             R"("pp": 4, "vp": 4, "fsdp": 16, "zero": 2, "lbs": 4)",
                             R"("pp": 4, "vp": 2, "schedule": "zb-v", "fsdp": 16, "zero": 2, "lbs": 4)",
                             R"("pp": 4, "schedule": "gpipe", "fsdp": 16, "zero": 2, "lbs": 4)"}) {
    for (const char* rest : {R"("precision": "bf16", "recompute": {"mode": "full"})",
                             R"("precision": "fp8-cs", "recompute": {"mode": "none"}, "optimizer": "AdamW")"}) {
      runs.push_back(std::string(R"({"framework": "torchtitan", "model": "llama3-8b", "system": "h100", "gpus": 64,)") +
                     R"("seq_len": 8192, "gbs": 256, "mbs": 1, )" + layout + ", " + rest + "}");
    }
  }
  return runs;
}

TEST(RoundTrip, OfTorchtitanRuns) {
  models::Library library(recipes_test::data());
  for (const std::string& text : torchtitan_runs()) {
    SCOPED_TRACE(text);
    const hw::Node run = hw::Node::parse(text, "run");
    const std::string recipe = recipes::write(Format::torchtitan, run, library).text;
    EXPECT_EQ(facts(import(recipe, Format::torchtitan, library).run, library), facts(run, library)) << recipe;
    EXPECT_EQ(recipes::read_recipe(recipe, "recipe").format, Format::torchtitan);
  }
}

TEST(RoundTrip, OfAModel) {
  models::Library library(recipes_test::data());
  const hw::Node run = hw::Node::parse(
      R"({"model": "qwen3-8b", "system": "h100", "gpus": 8, "precision": "bf16", "seq_len": 4096, "gbs": 8, "mbs": 1})",
      "run");
  const recipes::Written written = recipes::write(Format::hugging_face, run, library);
  EXPECT_EQ(written.left_out.size(), 6U);  // all but the model
  const recipes::Imported imported = import(written.text, Format::hugging_face, library);
  EXPECT_EQ(library.model(imported.run.at("model")).hidden, library.model(run.at("model")).hidden);
  EXPECT_EQ(imported.missing, (std::vector<std::string>{"system", "gpus", "precision", "seq_len", "gbs", "mbs"}));
}

INSTANTIATE_TEST_SUITE_P(Formats, RoundTrip,
                         ::testing::Values(File{"published/megatron_bridge.jsonl", "megatron-bridge",
                                                Format::megatron_bridge},
                                           File{"published/automodel.jsonl", "automodel", Format::automodel},
                                           File{"published/dfm.jsonl", "dfm-megatron", Format::dfm_megatron},
                                           File{"published/dfm.jsonl", "dfm-automodel", Format::dfm_automodel},
                                           File{"published/zero_bubble.jsonl", "megatron-lm", Format::megatron_lm},
                                           File{"published/recompute_paper.jsonl", "megatron-lm", Format::megatron_lm},
                                           File{"reference.jsonl", "automodel", Format::automodel},
                                           File{"reference.jsonl", "dfm-megatron", Format::dfm_megatron},
                                           File{"reference.jsonl", "dfm-automodel", Format::dfm_automodel}),
                         [](const auto& file) {
                           std::string name = std::string(file.param.framework) + "_" + std::string(file.param.name);
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
                           return name;
                         });

}  // namespace
