// Every key that a format understands is in docs/recipes.md, and no two rows say one key.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "models/recipes/mapping.h"
#include "tests/recipes/shipped.h"

namespace {

class Documented : public ::testing::TestWithParam<recipes::Format> {};

TEST_P(Documented, KeysAreInTheDocs) {
  const std::string docs = recipes_test::read(STEPCAST_SOURCE_DIR "/docs/recipes.md");
  if (GetParam() == recipes::Format::hugging_face) GTEST_SKIP() << "its keys are those of models/";
  for (const recipes::Row& row : recipes::table_of(GetParam()).rows)
    EXPECT_NE(docs.find("`" + std::string(row.key) + "`"), std::string::npos) << row.key;
  for (const recipes::Rule& rule : recipes::table_of(GetParam()).rules) {
    for (const std::string_view key : rule.keys)
      EXPECT_TRUE(key.empty() || docs.find("`" + std::string(key) + "`") != std::string::npos) << key;
  }
}

TEST_P(Documented, NoKeyHasTwoRows) {
  std::set<std::string_view> keys;
  for (const recipes::Row& row : recipes::table_of(GetParam()).rows)
    EXPECT_TRUE(keys.insert(row.key).second) << row.key;
}

INSTANTIATE_TEST_SUITE_P(Formats, Documented, ::testing::ValuesIn(recipes::kFormats), [](const auto& format) {
  std::string name(recipes::name(format.param));
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

}  // namespace
