#pragma once

#include <string>
#include <vector>

#include "hw/node.h"

namespace cli {

/// A run description of a file, and where it stands.
struct FiledRun {
  hw::Node description;
  std::string name;       ///< its id, else the file
  bool measured = false;  ///< a line of RUNS.jsonl
};

/// The runs of files: one of RUN.json, one a line of RUNS.jsonl. Throws hw::InputError.
std::vector<FiledRun> read_runs(const std::vector<std::string>& files);

}  // namespace cli
