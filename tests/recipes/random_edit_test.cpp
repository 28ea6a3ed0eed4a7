// Layouts as a search would find them, put into every shipped recipe: the new text says exactly the new run, or the
// format has no words for it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "hw/input_error.h"
#include "models/recipes/differences.h"
#include "models/recipes/recipe.h"
#include "models/recipes/run_facts.h"
#include "tests/recipes/shipped.h"

namespace {

class Layouts {
 public:
  explicit Layouts(unsigned seed) : random_(seed) {}

  /// The run with some of its layout drawn anew, and what followed from the old one left out.
  recipes::Value another(recipes::Value run) {
    for (const char* field : {"/dp", "/ga", "/lbs", "/fsdp", "/overlap/pp", "/schedule"}) recipes::erase(run, field);
    const std::vector<std::string> stated = {"/tp", "/pp", "/cp", "/ep", "/mbs"};
    for (const std::string& field : stated) {
      if (draw(2) == 0) recipes::set(run, field, 1 << draw(4));
    }
    recipes::erase(run, "/vp");
    const auto* pp = recipes::find(run, "/pp");
    if (pp != nullptr && *pp != recipes::Value(1) && draw(2) == 0) recipes::set(run, "/vp", 2 << draw(2));
    const auto* tp = recipes::find(run, "/tp");
    recipes::set(run, "/sp", tp != nullptr && *tp != recipes::Value(1) && draw(4) > 0);
    if (draw(2) == 0) recipes::set(run, "/recompute", recompute());
    if (draw(2) == 0) recipes::set(run, "/gbs", 64 << draw(6));
    return run;
  }

 private:
  int draw(int choices) { return std::uniform_int_distribution<int>(0, choices - 1)(random_); }

  recipes::Value recompute() {
    recipes::Value result;
    const char* modes[] = {"none", "selective", "full"};
    recipes::set(result, "/mode", modes[draw(3)]);
    if (*recipes::find(result, "/mode") == recipes::Value("selective"))
      recipes::set(result, "/modules", recipes::Value::List{"core_attn", "mlp"});
    return result;
  }

  std::mt19937 random_;
};

class RandomEdit : public ::testing::TestWithParam<std::filesystem::path> {};

std::vector<std::string> facts(const hw::Node& run, models::Library& library) {
  return recipes::run_facts(models::parse_run(run, library, false));
}

bool is_run(const hw::Node& run, models::Library& library) {
  try {
    return !facts(run, library).empty();
  } catch (const hw::InputError&) {
    return false;
  }
}

TEST_P(RandomEdit, SaysTheNewRunOrIsRefused) {
  models::Library library(recipes_test::data());
  const recipes::Recipe recipe = recipes::read_recipe(recipes_test::read(GetParam()), "recipe");
  const hw::Node before = recipes::to_run(recipe, {}, library).run;
  Layouts layouts(7);
  int tried = 0, said = 0;
  for (int i = 0; i < 2000 && tried < 40; ++i) {
    const hw::Node after = recipes::to_node(layouts.another(recipes::from_node(before)), "after");
    if (!is_run(after, library)) continue;
    ++tried;
    try {
      const std::string text = recipes::with_changes(recipe, before, after, {}, library);
      const hw::Node again = recipes::to_run(recipes::read_recipe(text, "again", recipe.format), {}, library).run;
      // What the new run leaves open, the framework decides.
      std::vector<std::string> same;
      EXPECT_EQ(recipes::differences_that_matter(recipes::canonical(after), recipes::canonical(again), library, same),
                std::vector<std::string>{})
          << after.dump() << "\n"
          << text;
      ++said;
    } catch (const hw::InputError& error) {
      EXPECT_NE(std::string(error.what()).find(" cannot say the change to: "), std::string::npos)
          << error.what() << "\n"
          << after.dump();
    }
  }
  EXPECT_GT(tried, 5);
  EXPECT_GT(3 * said, tried);
}

std::vector<std::filesystem::path> shipped() {
  using Folder = std::filesystem::directory_iterator;
  return {Folder(STEPCAST_SOURCE_DIR "/configs/recipes"), Folder()};
}

INSTANTIATE_TEST_SUITE_P(Shipped, RandomEdit, ::testing::ValuesIn(shipped()), [](const auto& file) {
  std::string name = file.param.filename();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
});

}  // namespace
