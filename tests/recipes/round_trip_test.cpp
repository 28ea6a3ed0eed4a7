// A run written as a recipe and read again is the same run: every published run, in the format of its framework.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "hw/input_error.h"
#include "recipes/differences.h"
#include "recipes/recipe.h"
#include "recipes/run_facts.h"
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

INSTANTIATE_TEST_SUITE_P(
    Formats, RoundTrip,
    ::testing::Values(File{"published/megatron_bridge.jsonl", "megatron-bridge", Format::megatron_bridge},
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
