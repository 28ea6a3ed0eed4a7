#include "tests/recipes/shipped.h"

#include <fstream>
#include <sstream>

#include "hw/input_error.h"
#include "models/recipes/differences.h"
#include "models/recipes/value.h"

namespace recipes_test {

models::DataDirectory data() { return {STEPCAST_SOURCE_DIR}; }

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream{path, std::ios::binary}.rdbuf();
  return text.str();
}

std::vector<Row> rows(const std::string& file) {
  std::vector<Row> result;
  const auto path = std::filesystem::path(STEPCAST_SOURCE_DIR) / "configs/runs" / file;
  for (const hw::Node::Line& line : hw::Node::read_lines(path)) {
    const std::string id = line.node.value().at("id").text();
    result.push_back({id, recipes::to_node(recipes::canonical(*line.node), id)});
  }
  return result;
}

std::vector<Row> valid_rows(const std::string& file, models::Library& library) {
  std::vector<Row> result;
  for (const Row& row : rows(file)) {
    try {
      models::parse_run(row.run, library, false);
      result.push_back(row);
    } catch (const hw::InputError&) {
    }
  }
  return result;
}

}  // namespace recipes_test
