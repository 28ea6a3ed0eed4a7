// Whatever the bytes are: a run, or a refusal in one line.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "hw/input_error.h"
#include "models/recipes/recipe.h"
#include "tests/recipes/shipped.h"

namespace {

std::vector<std::string> shipped_recipes() {
  using Folder = std::filesystem::directory_iterator;
  std::vector<std::filesystem::path> files(Folder(STEPCAST_SOURCE_DIR "/configs/recipes"), Folder());
  std::sort(files.begin(), files.end());
  std::vector<std::string> texts(files.size());
  std::transform(files.begin(), files.end(), texts.begin(), [](const auto& file) { return recipes_test::read(file); });
  return texts;
}

struct Outcome {
  bool taken = false;  ///< one of the formats could take it apart
  bool whole = false;  ///< and it was a run
};

/// Reads the text as every format.
Outcome read_all_ways(const std::string& text, models::Library& library) {
  Outcome outcome;
  std::vector<std::optional<recipes::Format>> formats(recipes::kFormats.begin(), recipes::kFormats.end());
  formats.emplace_back(std::nullopt);
  for (const auto& format : formats) {
    try {
      const recipes::Recipe recipe = recipes::read_recipe(text, "hostile", format);
      const recipes::Imported imported = recipes::to_run(recipe, {{"gpus", 8}, {"system", "h100"}}, library);
      outcome.taken = true;
      recipes::checked_run(imported, library);
      outcome.whole = true;
    } catch (const hw::InputError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      EXPECT_LT(std::string(error.what()).size(), 2000U);
    }
  }
  return outcome;
}

class Mutation {
 public:
  explicit Mutation(unsigned seed) : random_(seed) {}

  std::string of(std::string text) {
    for (int i = number(1, 6); i > 0; --i) change(text);
    return text;
  }

 private:
  int number(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }

  void change(std::string& text) {
    static const std::array<std::string, 16> pieces = {"\r\n", "\"",  "'",  "[", "]", "{",     "}",
                                                       ": ",   " = ", "\\", "$", "(", "&a *a", "9999999999999999999",
                                                       "\xff", "#"};
    const auto at = static_cast<std::size_t>(number(0, static_cast<int>(text.size())));
    const auto length = std::min<std::size_t>(text.size() - at, static_cast<std::size_t>(number(0, 40)));
    switch (number(0, 4)) {
      case 0: text.erase(at, length); break;
      case 1: text.insert(at, pieces[static_cast<std::size_t>(number(0, 15))]); break;
      case 2: text.insert(at, text.substr(at, length)); break;
      case 3: text.insert(at, 1, static_cast<char>(number(0, 255))); break;
      default:
        if (length > 0) text.replace(at, 1, std::to_string(number(-5, 100)));
    }
  }

  std::mt19937 random_;
};

TEST(Hostile, MutatedRecipesAreReadOrRefused) {
  models::Library library(recipes_test::data());
  const std::vector<std::string> texts = shipped_recipes();
  int taken = 0;
  for (unsigned seed = 0; seed < 600; ++seed) {
    SCOPED_TRACE(seed);
    taken += read_all_ways(Mutation(seed).of(texts[seed % texts.size()]), library).taken ? 1 : 0;
  }
  EXPECT_GT(taken, 100);  // else the mutations would only try how a text is refused
}

TEST(Hostile, RandomBytesAreNoRun) {
  models::Library library(recipes_test::data());
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    std::string text(std::uniform_int_distribution<std::size_t>(0, 300)(random), ' ');
    for (char& c : text)
      c = static_cast<char>(std::uniform_int_distribution<int>(i % 2 == 0 ? 0 : 32, i % 2 == 0 ? 255 : 126)(random));
    SCOPED_TRACE(i);
    EXPECT_FALSE(read_all_ways(text, library).whole);
  }
}

TEST(Hostile, DeepNestingIsNoRun) {
  models::Library library(recipes_test::data());
  constexpr std::size_t kDeep = 100'000;
  std::string indented, dotted = "cfg", tables = "[a", mappings, questions;
  for (int i = 0; i < 3000; ++i) {
    indented += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
    dotted += ".a";
    tables += ".a";
  }
  for (std::size_t i = 0; i < kDeep; ++i) mappings += "{a: ", questions += "? ";
  for (const std::string& text :
       {std::string(kDeep, '['), "a: " + std::string(kDeep, '['), "a = " + std::string(kDeep, '['),
        "cfg.model.a = " + std::string(kDeep, '(') + std::string(kDeep, ')'), std::string(kDeep, '-'), mappings,
        questions, std::string(kDeep, '{'), "{\"a\": " + std::string(kDeep, '['), indented, dotted + " = 1\n",
        tables + "]\nb = 1\n", "--a " + std::string(kDeep, '('), "a=" + std::string(kDeep, '$'),
        "--a ${" + std::string(kDeep, '{')}) {
    SCOPED_TRACE(text.substr(0, 40));
    EXPECT_FALSE(read_all_ways(text, library).whole);
  }
}

TEST(Hostile, AliasesThatMultiplyAreRefused) {
  models::Library library(recipes_test::data());
  std::string text = "a0: &a0 {x: 1, y: 2}\n";
  for (int i = 1; i < 30; ++i) {
    const std::string last = "*a" + std::to_string(i - 1), name = "a" + std::to_string(i);
    text += name + ": &" + name + " {x: " + last + ", y: " + last + "}\n";
  }
  EXPECT_THROW(recipes::read_recipe(text, "hostile", recipes::Format::automodel), hw::InputError);
  EXPECT_FALSE(read_all_ways("a: &a\n  b: *a\n", library).whole);  // a mapping in itself
  EXPECT_FALSE(read_all_ways("a: &a [*a]\n", library).whole);
}

TEST(Hostile, ByteOrderMarksAndLineEndsAreNoReason) {
  models::Library library(recipes_test::data());
  for (const std::string& text : shipped_recipes()) {
    std::string marked = "\xef\xbb\xbf" + text;
    for (std::size_t at = marked.find('\n'); at != std::string::npos; at = marked.find('\n', at + 2))
      marked.insert(at, "\r");
    const auto run = [&library](const std::string& recipe) {
      return recipes::to_run(recipes::read_recipe(recipe, "recipe"), {}, library).run.dump();
    };
    EXPECT_EQ(run(marked), run(text));
  }
}

TEST(Hostile, VariablesThatGrowAreRefused) {
  models::Library library(recipes_test::data());
  std::string text = "A0=xxxxxxxxxx\n";
  for (int i = 1; i < 60; ++i) {
    const std::string last = "$A" + std::to_string(i - 1);
    text += "A" + std::to_string(i) + "=" + last + last + last + last + "\n";
  }
  text += "pretrain_gpt.py --seq-length $A59\n";
  EXPECT_THROW(recipes::read_recipe(text, "hostile", recipes::Format::megatron_lm), hw::InputError);
}

}  // namespace
