#include "cli/run_files.h"

#include "hw/input_error.h"

namespace cli {
namespace {

FiledRun filed(const hw::Node& description, const std::string& file, bool measured) {
  const auto id = description.find("id");
  return {.description = description, .name = id ? id->text() : file, .measured = measured};
}

}  // namespace

std::vector<FiledRun> read_runs(const std::vector<std::string>& files) {
  std::vector<FiledRun> runs;
  for (const std::string& file : files) {
    if (!file.ends_with(".jsonl")) {
      runs.push_back(filed(hw::Node::read_file(file), file, false));
      continue;
    }
    for (const hw::Node::Line& line : hw::Node::read_lines(file)) {
      if (!line.node) throw hw::InputError(line.error);
      runs.push_back(filed(*line.node, file, true));
    }
  }
  return runs;
}

}  // namespace cli
