// Recipes written by hand for the reference runs give these runs, field by field.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/recipes/differences.h"
#include "models/recipes/recipe.h"
#include "models/recipes/run_facts.h"
#include "tests/recipes/shipped.h"

namespace {

/// What a row says that no recipe does: how a table was read, and what its readers looked up.
constexpr std::string_view kNotInRecipes[] = {
    "/release",                         // of the framework, not of the recipe; given where the row has one
    "/optimizer/note",                  // where a fact was found
    "/extra/cp_comm_type",              // "not set in recipe"
    "/extra/activation_checkpointing",  // "default True ...": the recipe states it
    "/recompute/layers",                // of all layers: null, or their number
    "/recompute/modules",               // of method block: null
};

/// What a recipe says beyond its row.
constexpr std::string_view kNotInRows[] = {
    "/release",
    "/recompute/modules",
    "/extra/mock_latents",  // where seq_len comes from
    "/extra/text_tokens",
    "/extra/qkv_format",
    "/optimizer/grad_reduce_dtype",
    "/gpus_per_node",
    "/extra/activation_checkpointing",
};

class SeedRecipe : public ::testing::TestWithParam<recipes_test::Row> {};

std::string recipe_of(const std::string& id) {
  std::string name = id.substr(std::string("seed-").size());
  if (const auto at = name.find("-fsdp"); at != std::string::npos) name.erase(at, std::string("-fsdp").size());
  return std::string(STEPCAST_SOURCE_DIR) + "/configs/recipes/" + name + ".yaml";
}

std::vector<std::string> unexpected(std::vector<std::string> fields, std::span<const std::string_view> known) {
  std::erase_if(fields, [known](const std::string& field) {
    return recipes::follows(field) || std::find(known.begin(), known.end(), field) != known.end();
  });
  return fields;
}

TEST_P(SeedRecipe, GivesItsRow) {
  models::Library library(recipes_test::data());
  const std::string file = recipe_of(GetParam().id);
  const recipes::Recipe recipe = recipes::read_recipe(recipes_test::read(file), file);
  const recipes::Imported imported = recipes::to_run(recipe, {}, library);
  EXPECT_EQ(imported.missing, std::vector<std::string>{});
  for (const recipes::Ignored& ignored : imported.ignored)
    EXPECT_EQ(ignored.why.find("not understood"), std::string::npos) << ignored.key;

  const recipes::Value row = recipes::canonical(GetParam().run), run = recipes::canonical(imported.run);
  EXPECT_EQ(unexpected(recipes::differences(row, run), kNotInRecipes), std::vector<std::string>{});
  EXPECT_EQ(unexpected(recipes::differences(run, row), kNotInRows), std::vector<std::string>{});
}

TEST_P(SeedRecipe, IsTheSameToWhoPredictsIt) {
  models::Library library(recipes_test::data());
  const std::string file = recipe_of(GetParam().id);
  const recipes::Imported imported = recipes::to_run(recipes::read_recipe(recipes_test::read(file), file), {}, library);
  EXPECT_EQ(recipes::run_facts(models::parse_run(imported.run, library, false)),
            recipes::run_facts(models::parse_run(GetParam().run, library, false)));
}

INSTANTIATE_TEST_SUITE_P(Reference, SeedRecipe, ::testing::ValuesIn(recipes_test::rows("reference.jsonl")),
                         [](const auto& row) {
                           std::string name = row.param.id;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

TEST(SeedRecipes, AreThereForEveryReferenceRow) { EXPECT_EQ(recipes_test::rows("reference.jsonl").size(), 11U); }

}  // namespace
