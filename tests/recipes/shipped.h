#pragma once

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "hw/node.h"
#include "models/recipes/recipe.h"
#include "models/run.h"

/// What tests of recipes share: the checked-in runs and recipes.
namespace recipes_test {

models::DataDirectory data();
std::string read(const std::filesystem::path& path);

/// A row of a file in configs/runs, without what was measured.
struct Row {
  std::string id;
  hw::Node run;
};
inline void PrintTo(const Row& row, std::ostream* out) { *out << row.id; }
std::vector<Row> rows(const std::string& file);

/// Rows that can be predicted; the others are refused, whoever describes them.
std::vector<Row> valid_rows(const std::string& file, models::Library& library);

}  // namespace recipes_test
