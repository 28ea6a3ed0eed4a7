#include "tests/bench/benched_run.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace bench {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;

/// Throws std::runtime_error where the file no longer says `"key": before`.
void set(std::string& text, const std::string& key, int before, int after) {
  const std::string name = "\"" + key + "\": ", old = name + std::to_string(before) + ",";
  const auto at = text.find(old);
  if (at == std::string::npos) throw std::runtime_error(description_file() + ": no " + old);
  text.replace(at, old.size(), name + std::to_string(after) + ",");
}

}  // namespace

std::string description_file() { return kRoot + "/configs/runs/deepseek-v3-h100-1024.json"; }

hw::Node description(int gpus) {
  std::ostringstream text;
  text << std::ifstream(description_file()).rdbuf();
  std::string changed = text.str();
  set(changed, "gpus", 1024, gpus);
  set(changed, "gbs", 8192, 8 * gpus);
  return hw::Node::parse(changed, description_file());
}

BenchedRun benched_run(int gpus) {
  models::Library library({kRoot});
  models::Run run = models::parse_run(description(gpus), library, false);
  const hw::Node profile = hw::Node::read_file(kRoot + "/calibration/profiles/default.json");
  hw::Efficiency efficiency = hw::parse_efficiency(profile, run.cluster);
  return {std::move(run), efficiency};
}

}  // namespace bench
